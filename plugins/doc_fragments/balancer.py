# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module finds one pool behind one load balancer."""

from __future__ import annotations


class ModuleDocFragment:
    """One pool behind one balancer."""

    DOCUMENTATION = r"""
options:
  server:
    description:
      - The name of the server as the balancer has it. In HAProxy that is the word after C(server).
        In C(nginx), Envoy and target files it is the address with the port, and in Kubernetes the pod.
      - Required unless O(state=queried).
    type: str
  balancer:
    description:
      - The pool, and how its balancer is reached from the host on which the module runs.
        An inventory holds this once for each pool, so that a task can name it.
    type: dict
    required: true
    suboptions:
      kind:
        description:
          - The load balancer.
        type: str
        choices: [command, envoy, file_sd, haproxy, kubernetes, nginx]
        required: true
      backend:
        description:
          - The backend in HAProxy, the upstream in C(nginx), the cluster in Envoy, the Service in Kubernetes.
          - Required unless O(balancer.kind) is V(file_sd) or V(command).
        type: str
      socket:
        description:
          - HAProxy's stats socket, of level C(admin). An absolute path, or V(HOST:PORT).
          - Required if O(balancer.kind=haproxy).
        type: str
      file:
        description:
          - The file to change. With V(nginx) the one that holds the upstream or is included in it, or any other from
            which C(nginx -T) leads to it. With V(envoy) that of the endpoints (EDS), with V(file_sd) that of the
            targets.
          - It is replaced as a whole and keeps its owner and mode. What others change meanwhile is not lost.
          - Required if O(balancer.kind) is V(nginx), V(envoy) or V(file_sd).
        type: path
      more_files:
        description:
          - With V(envoy), the files of other clusters that have the server too and may be changed, or the directories
            in which they lie.
          - Envoy's admin API says from which file each cluster has its endpoints. A file that is not declared here is
            not changed, and the task is refused, naming it.
          - If it is left out, the files in the directory of O(balancer.file) may be changed.
        type: list
        elements: path
      admin_url:
        description:
          - Envoy's admin API.
          - Required if O(balancer.kind=envoy).
        type: str
      pid_file:
        description:
          - Where C(nginx) keeps the number of its master process.
        type: path
        default: /run/nginx.pid
      test:
        description:
          - The words of the command by which C(nginx) tries a configuration. No shell is involved.
        type: list
        elements: str
        default: [nginx, -t]
      reload:
        description:
          - The words of the command that makes C(nginx) use it, such as V([systemctl, reload, nginx]).
        type: list
        elements: str
        default: [nginx, -s, reload]
      drained_label:
        description:
          - With V(file_sd), a drained target stays in the file and gets this label, with the value V(true).
            Without it the target is taken out, and remembered in a hidden file beside it.
        type: str
      settle:
        description:
          - With V(file_sd) and V(kubernetes), seconds that those who follow the file or the EndpointSlices need for it.
        type: float
        default: 0.0
      namespace:
        description:
          - The namespace of the Service in Kubernetes.
        type: str
        default: default
      condition:
        description:
          - The readiness gate that the pods declare in Kubernetes.
        type: str
        default: autoglm.recovery/in-traffic
      kubeconfig:
        description:
          - The file that says how the Kubernetes API is reached. The usual one if it is left out.
        type: path
      context:
        description:
          - The context in it.
        type: str
      commands:
        description:
          - The word lists of commands for any other balancer. No shell is involved.
          - In each word C({server}), C({backend}) and C({weight}) are replaced by their values.
          - Exit status 0 is success. What a command that fails says on standard error is told.
          - Required if O(balancer.kind=command).
        type: dict
        suboptions:
          state:
            description:
              - Prints the pool, a JSON list of C({"name", "admin", "health", "weight", "in_flight"}), of which the last
                three may be left out. C(admin) is C(active), C(drained) or C(maintenance), and C(health) is C(up),
                C(down) or C(unknown).
            type: list
            elements: str
          drain:
            description:
              - Takes the server out of traffic.
            type: list
            elements: str
          ready:
            description:
              - Brings it back.
            type: list
            elements: str
          in_flight:
            description:
              - Prints the number of requests that the balancer has with the server, if C(state) does not.
            type: list
            elements: str
          weight:
            description:
              - Sets the weight.
            type: list
            elements: str
      timeout:
        description:
          - Seconds for each single question to the balancer.
        type: float
        default: 5.0
      lock_dir:
        description:
          - Where the lock lies by which the tasks of one host change a pool one after another.
          - All of them must name the same directory. It is made where it is missing.
          - Nobody but root, and the user who runs the module, may be able to write in it or to replace it.
        type: path
        default: /run/autoglm/locks
"""
