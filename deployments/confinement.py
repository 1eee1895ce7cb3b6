"""What a workload may not ask of a node, whatever its owner holds, unless the node's owner has enabled it.

Pure. The options are found in every spelling (`network_mode`, `NetworkMode`, `networkMode`, `network-mode`,
nested as in `HostConfig`), so that a key that one executor ignores cannot become a hole when another one
understands it. Paths are judged as text; `workers.volumes` resolves links before anything is mounted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from capabilities.refusal import Reason
from deployments.hostpaths import host_path, reaches_engine

ALLOWANCES: Final[Mapping[str, str]] = {
    "privileged": "run the workload without privileges",
    "host_namespaces": "leave the namespace out, or use one of: bridge, none, private",
    "devices": "ask for GPUs under resources.gpus; other devices cannot be had",
    "docker_socket": "leave the engine's socket out",
    "host_paths": "use a named volume (src: data), it lives in the owner's folder",
    "kernel_capabilities": "leave added capabilities out; dropping some is fine",
    "security_options": "leave the option out",
}
"""Each allowance and what is right without it."""

_DEPTH_MAX: Final = 40  # ensembles are bounded to 32 before they come here; deeper is refused unseen


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAFE_NAMESPACES: Final = frozenset({"", "none", "bridge", "default", "private", "shareable", "false", "no"})
_NAMESPACE_KEYS: Final = _names(
    """networkmode net network networks pid pidmode ipc ipcmode uts utsmode userns usernsmode cgroupns
    cgroupnsmode cgroup namespace namespaces networknamespace pidnamespace ipcnamespace utsnamespace
    usernamespace"""
)
_HOST_FLAGS: Final = _names("hostnetwork hostpid hostipc hostuts hostusers hostuserns sharenet")
_DEVICE_KEYS: Final = _names(
    "devices device devicerequests devicecgrouprules devicerules gpus gpu blockdevices"
)
_CAPABILITY_KEYS: Final = _names(
    "capadd capsadd addcap addcaps capabilities addcapabilities kernelcapabilities caps"
)
_SECURITY_KEYS: Final = _names(
    """securityopt securityopts securityoption securityoptions securitycontext sysctl sysctls cgroupparent
    groupadd groupsadd additionalgroups supplementalgroups apparmor apparmorprofile seccomp seccompprofile
    selinux selinuxoptions maskedpaths readonlypaths oomkilldisable oomscoreadj
    credentialspec allowprivilegeescalation"""
)
_SAFE_RUNTIMES: Final = frozenset({"", "default", "runc", "kata"})
_SOURCE_KEYS: Final = _names("src source hostpath host device from")
_VOLUME_KEYS: Final = _names("volume volumes bind binds mount mounts volumemounts hostmounts")
_FILE_KEYS: Final = _names("envfile envfiles environmentfile labelfile cidfile secretfile")
_UNREAD: Final = _names(
    """environment env labels annotations metadata cmd command commands args entrypoint healthcheck
    workingdirectory workingdir workdir dnsname hostname provision scripts image user"""
)
"""Members whose content is the workload's own text, never an option."""


def violations(
    params: Mapping[str, Any],
    volumes: Sequence[Mapping[str, Any]],
    allowances: Collection[str],
    *,
    path: str,
    owner_folder: str = "",
) -> tuple[Reason, ...]:
    """Return every forbidden thing that an execution asks for, less what `allowances` enables.

    `params` is the execution's parameters, `volumes` the allocation's volumes, `path` where the allocation
    stands in the document. Absolute sources inside `owner_folder` (when given) are not host paths.
    """
    found = [
        *_options(params, f"{path}.execution.params", owner_folder),
        *_volumes(volumes, f"{path}.volumes", owner_folder),
    ]
    return _reasons(found, allowances)


def ensemble_violations(document: Mapping[str, Any], allowances: Collection[str]) -> tuple[Reason, ...]:
    """Return every violation in a V1 ensemble: `allocations.<name>.execution` and `.volume(s)`."""
    body = _member(document, "v1")
    allocations = _member(body if isinstance(body, Mapping) else document, "allocations")
    found: list[tuple[str, str, str]] = []
    if isinstance(allocations, Mapping):
        for name, allocation in allocations.items():
            if not isinstance(allocation, Mapping):
                continue
            for key, value in allocation.items():
                where = f"allocations.{name}.{key}"
                if _plain(key) == "execution":
                    found.extend(_options(value, where, ""))
                elif _plain(key) in _VOLUME_KEYS:
                    found.extend(_volumes(value, where, ""))
    return _reasons(found, allowances)


def _reasons(found: Sequence[tuple[str, str, str]], allowances: Collection[str]) -> tuple[Reason, ...]:
    refused = dict.fromkeys(item for item in found if item[0] not in allowances)
    return tuple(
        Reason(
            check=f"confinement.{allowance}",
            message=message,
            path=where,
            needed=f"the node's allowance {allowance}",
            available=", ".join(sorted(allowances)) or "no allowances",
            hint=f"{ALLOWANCES[allowance]}; or the node's owner adds {allowance!r} to the node's allowances "
            "(Django admin, Nodes, Allowances)",
        )
        for allowance, where, message in refused
    )


def _options(value: Any, path: str, folder: str, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield (allowance, path, message) for each forbidden option in `value` and below."""
    if depth > _DEPTH_MAX:
        yield "security_options", path, "nested too deep to be checked"
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            where, name = f"{path}.{key}", _plain(key)
            found = list(_option(name, item, where, folder))
            yield from found
            if not found and name not in _UNREAD:
                yield from _options(item, where, folder, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _options(item, f"{path}[{index}]", folder, depth + 1)


def _option(name: str, value: Any, where: str, folder: str) -> Iterator[tuple[str, str, str]]:
    if name in ("privileged", "isprivileged", "privilegedmode", "privilegeddocker") and _on(value):
        yield "privileged", where, "privileged mode gives the workload every right on the machine"
    elif name in _HOST_FLAGS and _on(value):
        yield "host_namespaces", where, "a namespace of the host is asked for"
    elif name in _NAMESPACE_KEYS:
        for text in _texts(value):
            if text.strip().casefold() not in _SAFE_NAMESPACES:
                yield (
                    "host_namespaces",
                    where,
                    f"{text!r} joins a namespace of the host or of another workload",
                )
    elif name in _DEVICE_KEYS and _given(value):
        yield "devices", where, "devices of the host are asked for"
    elif name in _CAPABILITY_KEYS and _given(value):
        yield "kernel_capabilities", where, "kernel capabilities are added"
    elif name == "volumesfrom" and _given(value):
        yield "host_paths", where, "the volumes of another workload are asked for"
    elif name in _SECURITY_KEYS and _given(value):
        yield "security_options", where, "the confinement of the workload is changed"
    elif name == "runtime" and not all(t.strip().casefold() in _SAFE_RUNTIMES for t in _texts(value)):
        yield "security_options", where, "another runtime is asked for; runc and kata are known"
    elif name in _VOLUME_KEYS:
        yield from _volumes(value, where, folder)
    elif name in _FILE_KEYS:
        for text in _texts(value):
            yield from _source(text, where, folder)


def _volumes(value: Any, path: str, folder: str, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with volumes: V1 objects, `src:dst` and `type=bind,src=..` texts, maps."""
    if depth > _DEPTH_MAX:
        yield "host_paths", path, "nested too deep to be checked"
    elif isinstance(value, str):
        yield from _source(_source_of(value), path, folder)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _volumes(item, f"{path}[{index}]", folder, depth + 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            where = f"{path}.{key}"
            yield from _source(str(key), where, folder)
            if _plain(key) in _SOURCE_KEYS:
                for text in _texts(item):
                    yield from _source(text, where, folder)
            elif isinstance(item, Mapping | list | tuple):
                yield from _volumes(item, where, folder, depth + 1)


def _source_of(text: str) -> str:
    """Return the source of a volume written as text."""
    if "=" in text:
        for part in text.split(","):
            key, _, source = part.partition("=")
            if _plain(key) in _SOURCE_KEYS:
                return source
    scheme = text.find("://")
    if scheme > 0:
        return text
    if len(text) > 2 and text[1] == ":" and text[2] in "\\/":
        return text
    return text.split(":", 1)[0]


def _source(text: str, where: str, folder: str) -> Iterator[tuple[str, str, str]]:
    inside = bool(folder) and host_path(text, folder) == "inside"
    if reaches_engine(text) and not inside:
        yield "docker_socket", where, f"{text!r} leads to the container engine's socket"
    if not inside and host_path(text, folder):
        yield "host_paths", where, f"{text!r} is a path of the host outside the owner's folder"


def _plain(key: object) -> str:
    """Return a key without case, blanks and punctuation, so that all spellings are one."""
    folded = unicodedata.normalize("NFKC", str(key)).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


def _member(document: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in document.items() if _plain(key) == name), None)


def _on(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() not in {"", "false", "no", "off", "0", "null", "none"}
    return bool(value)


def _given(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_given(item) for item in value.values())
    if isinstance(value, list | tuple):
        return bool(value)
    return _on(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value: itself, members of lists, keys and members of maps."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            if not isinstance(item, Mapping):
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
