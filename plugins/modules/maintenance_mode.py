#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_mode
short_description: Maintenance mode of a service, as a transaction with an end
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Puts a service on a host into maintenance, all O(targets) or none, and back to what it was.
  - Each owner that requests maintenance holds a lease. Several owners may hold one at the same time; the mode ends when
    the last lease is released or expires.
  - Every lease expires. A timer on the host (role P(day2.ops.runtime#role)) ends the mode without a controller, also
    after a reboot. A host that is booted during the mode starts in it.
  - C(day2ctl maintenance status) shows the state on the host; C(day2ctl maintenance disable) ends the mode.
options:
  service:
    description: Name of the service that is put into maintenance. One host may have several services.
    type: str
    required: true
  state:
    description:
      - V(enabled) grants a lease to O(owner). A lease that the owner holds already keeps its end, and its targets
        become O(targets).
      - V(extended) moves the end of the owner's lease to O(duration) from now, if that is later.
      - V(disabled) releases the owner's lease; with O(force=true) the leases of all owners.
      - V(status) only reports the state.
    type: str
    choices: [enabled, disabled, extended, status]
    default: enabled
  owner:
    description: Name of the owner of the lease, such as V(weekly-window). Each owner holds at most one lease.
    type: str
    default: ansible
  reason:
    description: Reason for the maintenance, shown in the status. Required with O(state=enabled).
    type: str
  duration:
    description:
      - How long the lease lasts from now on, such as V(2h), at most 31 days. Required with O(state=enabled) and
        O(state=extended).
    type: str
  begins:
    description:
      - In check mode with O(state=enabled), when the mode would be entered, in POSIX seconds. The times of the plan
        count from then. Outside of check mode it is refused, because the mode is entered at once.
    type: float
  targets:
    description:
      - Parts of the service that are put into maintenance. V(web) is nginx (O(web)), V(units) are systemd units
        (O(units)), V(alerts) are silences of alerts (O(alerts)), V(haproxy) are servers behind HAProxy (O(haproxy)).
    type: list
    elements: str
    default: [web, units, alerts]
  approved_by:
    description: Name of the person who approved the maintenance, shown in the status.
    type: str
  claim:
    description:
      - Which state of the owner's lease O(state=enabled) accepts. V(any) accepts both. V(new) refuses an owner that
        holds a lease already, so that one of two simultaneous runs is refused. V(held) refuses an owner that no longer
        holds a lease.
      - With V(new) and V(held), O(targets) may be empty.
    type: str
    choices: [any, new, held]
    default: any
  force:
    description: Whether O(state=disabled) releases the leases of all owners, not only that of O(owner).
    type: bool
    default: false
  web:
    description:
      - How nginx serves the maintenance page, with V(web) in O(targets). Role P(day2.ops.maintenance_page#role)
        installs the configuration of nginx for it.
    type: dict
    default: {}
    suboptions:
      snippet:
        description: Path of the installed nginx configuration, if it differs from that of the role.
        type: path
      probe:
        description:
          - URL that has to answer with status 503 in maintenance mode. With any other answer everything is reverted.
          - Without it each server that includes the configuration is asked by its own name and port on this host, from
            an address of the host that is not served in maintenance mode. A redirect, such as from HTTP to HTTPS, is
            accepted from a server when another one answers 503.
          - A port is not asked if all addresses of the host are served in maintenance mode, or if another host has its
            address, such as a virtual one. RV(steps) name it. If no port can be asked the module warns (RV(unproven)).
        type: str
      ready:
        description:
          - URL, as the host reaches it, that has to answer with status 200 before users are admitted again, such as the
            health endpoint of an application that answers some time after its unit was started.
          - The module waits for it for at most 30 seconds. Then users are admitted all the same, and the module fails.
        type: str
      drain:
        description:
          - Maximum time to wait for requests that nginx was already answering when the maintenance page was switched
            on. Units are stopped when these requests have ended, or after this time. With V(0) they are stopped at
            once.
          - nginx's open connections to the sockets of O(units) are counted. Websockets, and idle connections of an
            upstream with C(keepalive), cannot be distinguished from requests, so the module waits for them until the
            limit. Connections that are still open are named in RV(steps); they end when their unit stops, and go on
            where only V(web) is put into maintenance.
        type: str
        default: 30s
  units:
    description:
      - Names of systemd units, in the order in which they are stopped. Those that were running are started again in the
        reverse order.
      - An entry may be a mapping of C(name), C(pause) and C(resume), two commands as lists of words, which are run
        instead of stopping and starting it.
      - A unit that systemd would not stop or start again is refused (C(RefuseManualStop=), C(RefuseManualStart=), one
        of C(systemd-run)), and so is nginx, with V(web) in O(targets).
      - Units that stop with one of them (C(Requires=), C(Requisite=), C(BindsTo=), C(PartOf=), C(StopPropagatedFrom=))
        and sockets, paths, timers and automounts that start one of them are stopped and kept from starting as well, and
        come back with it. RV(steps) names them.
    type: list
    elements: raw
    default: []
  units_timeout:
    description: Maximum time for a unit in O(units) to stop or start.
    type: str
    default: 90s
  units_stable:
    description:
      - How long units have to stay running after they were started again. A unit that ends, or that systemd restarts,
        is a fault. All units are watched at the same time.
    type: str
    default: 3s
  alerts:
    description: Alerts that are silenced until the lease ends, with V(alerts) in O(targets).
    type: dict
    default: {}
    suboptions:
      alertmanager:
        description:
          - URL of Alertmanager, with its prefix if it has one, and without a page or C(/api/v2). A user and password in
            it are never shown, and stored in a file that only root can read. Redirects are not followed.
          - Several Alertmanagers of a cluster may be behind it. The module waits a few seconds until they agree.
          - The times of a silence follow Alertmanager's clock, not the host's. A silence that is deleted during the
            mode is created again within seconds; if that fails, the status reports a fault.
        type: str
      ca_path:
        description: A file on the host with the certificates of authorities that Alertmanager's certificate is checked
          against, instead of the system's.
        type: path
      optional:
        description:
          - Whether the mode is entered without a silence where Alertmanager or PagerDuty cannot be reached, or accepts
            no silence, such as in an emergency. The module warns, RV(faults) and the status say so, and the host's
            timer goes on trying.
          - An outage during the mode is always a warning as long as nothing more is requested than before. A longer
            lease and other targets are refused during the outage unless this is set.
        type: bool
        default: false
      matchers:
        description:
          - Matchers of the silence in Alertmanager. An alert is silenced if it fits all of them.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of a label.
            type: str
            required: true
          value:
            description: The value of the label, or a regular expression for all of it.
            type: str
            required: true
          regex:
            description: Whether the value is a regular expression.
            type: bool
            default: false
          equal:
            description: Whether the label has to fit the value. With V(false) it must not.
            type: bool
            default: true
      pagerduty:
        description: Maintenance window in PagerDuty.
        type: dict
        suboptions:
          services:
            description: Ids of the services.
            type: list
            elements: str
            required: true
          from:
            description: E-mail address of a user of the account.
            type: str
            required: true
          token_file:
            description: A file on the host with a token of the REST API, which only root should be able to read.
            type: path
            required: true
          url:
            description: URL of the REST API, if it is not V(https://api.pagerduty.com), such as that of the EU region.
            type: str
  haproxy:
    description:
      - Servers of a HAProxy on this host that get no requests, with V(haproxy) in O(targets). They are drained, and put
        into state C(maint) by HAProxy's runtime socket. Afterwards each is what it was; one that somebody else had put
        into C(maint) or C(drain) stays so.
      - HAProxy forgets states when it is reloaded or restarted. The host's timer sets them again within seconds, also
        those of servers that somebody makes ready in the mode, and of servers that a backend gets.
      - The agent of a server (C(agent-check)) is not asked in the mode, because one that says C(ready) would end it.
    type: dict
    default: {}
    suboptions:
      socket:
        description:
          - Path of a C(stats socket) with C(level admin). It must not be that of the master process.
        type: path
        default: /run/haproxy/admin.sock
      servers:
        description:
          - Servers as C(backend/server), or C(backend) for all of its servers. Servers that C(track) one of them go
            with it; RV(steps) name them, and backends that have no server left.
        type: list
        elements: str
        default: []
      drain:
        description:
          - Maximum time to wait for the sessions of the servers. Those that are still open are named in RV(steps), and
            go on until they end. With V(0) nothing is waited for.
          - Sessions of a process from before a reload are not counted.
        type: str
        default: 30s
  root:
    description:
      - Directory in which the state of the maintenance mode is stored. It and all its parent directories must belong to
        root, must not be writable by others, and must not be symbolic links. This is checked at every read.
    type: path
    default: /var/lib/day2/maintenance
attributes:
  check_mode:
    description: Reports the steps that would be done. Nothing is changed.
    support: full
  diff_mode:
    description: Shows the leases before and after.
    support: full
  platform:
    description: Runs on a host with systemd, as root.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Two hours of maintenance
  day2.ops.maintenance_mode:
    service: options-engine
    owner: weekly-window
    reason: Weekly maintenance
    duration: 2h
    units: [options-engine]
    web: {probe: "https://localhost/"}
    alerts:
      alertmanager: http://alertmanager.example.com:9093
      matchers:
        - {name: service, value: options-engine}
  become: true

- name: End the maintenance
  day2.ops.maintenance_mode:
    service: options-engine
    owner: weekly-window
    state: disabled
  become: true
"""

RETURN = r"""
enabled:
  description: Whether any owner holds a lease.
  returned: always
  type: bool
  sample: true
leases:
  description: The leases that are held. The lease that ends last is the first.
  returned: always
  type: list
  elements: dict
  contains:
    owner: {description: Owner of the lease., type: str, sample: weekly-window}
    reason: {description: Reason for the maintenance., type: str, sample: Weekly maintenance}
    targets:
      description: Parts of the service that the lease puts into maintenance.
      type: list
      elements: str
      sample: [alerts, web, units]
    since: {description: 'When the lease was granted, in UTC.', type: str, sample: '2026-02-01T02:00:00Z'}
    until: {description: 'When the lease ends, in UTC.', type: str, sample: '2026-02-01T04:00:00Z'}
    left: {description: Seconds until the lease ends., type: float, sample: 7200.0}
    approved_by: {description: 'Who approved it, or null.', type: str, sample: null}
targets:
  description:
    - State of the targets that are in maintenance - V(entered), or interrupted on the way (V(entering), V(leaving)).
  returned: always
  type: dict
  sample: {web: entered}
steps:
  description: Steps that were done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: [stop options-engine.service]
faults:
  description:
    - Why targets could not be left, or are not in effect. The host's timer keeps retrying.
  returned: always
  type: list
  elements: str
unproven:
  description: Targets that were entered and whose effect could not be verified, and why.
  returned: when O(state) is not V(status)
  type: list
  elements: str
"""

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import arguments
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule


def main() -> None:
    module = MaskedModule(arguments.secret_values, argument_spec=arguments.SPEC, supports_check_mode=True)
    try:
        outcome = arguments.run(module.params, module.check_mode)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for said in (*outcome["faults"], *outcome.get("unproven", ())):
        module.warn(said)
    module.exit_json(**outcome, diff=_diff(outcome))


def _diff(outcome: Mapping[str, Any]) -> dict[str, str]:
    return {"before": _lines(outcome["before"]), "after": _lines(outcome)}


def _lines(about: Mapping[str, Any]) -> str:
    return "".join(
        f"{lease['owner']}: {', '.join(lease['targets'])} ({lease['reason']})\n" for lease in about["leases"]
    )


if __name__ == "__main__":
    main()
