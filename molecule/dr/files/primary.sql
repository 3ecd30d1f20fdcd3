-- The password is made up for this lab.
CREATE ROLE client LOGIN PASSWORD 'fictional';
CREATE TABLE acknowledged (n bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
GRANT ALL ON acknowledged TO client;
