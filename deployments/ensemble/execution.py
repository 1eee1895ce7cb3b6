"""The `execution` of an allocation: its type and the parameters of that type's executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployments.ensemble.fields import Fields, Shape, fields, text_of
from deployments.ensemble.model import EXECUTORS, Execution
from deployments.ensemble.names import VARIABLE, is_image
from deployments.ensemble.problems import join
from deployments.ensemble.tree import Mapping, Scalar, Sequence, Tree, plain

_CMD = 'write `cmd: ["sh", "-c", "..."]`'
_PASSED = "passed through unread"
_COMMON = frozenset({"type", "entrypoint", "cmd", "environment", "working_directory", "user"})
_MEANT_CMD = dict.fromkeys(("args", "command"), "did you mean `cmd`?")
_MEANT = _MEANT_CMD | {
    "env": "did you mean `environment`?",
    "working_dir": "did you mean `working_directory`?",
}

SHAPES = {
    "docker": Shape(
        "docker execution", _COMMON | {"image", "privileged", "restart_policy"}, hints=_MEANT, unknown=_PASSED
    ),
    "containerd": Shape(
        "containerd execution", _COMMON | {"image", "privileged", "runtime"}, hints=_MEANT, unknown=_PASSED
    ),
    "process": Shape("process execution", _COMMON - {"user"}, hints=_MEANT, unknown=_PASSED),
    "firecracker": Shape(
        "firecracker execution",
        frozenset({"type", "kernel_image", "root_file_system", "kernel_args", "initrd", "mmds_message"}),
        {"initrd_path": "initrd"},
        unknown=_PASSED,
    ),
}
_RESTART_POLICIES = ("no", "on-failure", "always", "unless-stopped")
_RUNTIMES = ("runc", "kata")


def read_execution(parent: Fields, executor: str) -> Execution:
    """Return the execution of the allocation whose members are `parent`."""
    node = parent.find("execution", required="write `execution: {type: docker, image: NAME}`")
    if node is None:
        return Execution()
    path = join(parent.path, "execution")
    if not isinstance(node, Mapping):
        fields(parent.context, SHAPES["docker"], node, path)
        return Execution()
    kind_of = _type(node)
    if kind_of not in EXECUTORS:
        at = node.items.get("type")
        parent.report.error(
            join(path, "type"),
            at.mark if at is not None else node.mark,
            f"unsupported execution type {kind_of[:60]!r}" if kind_of else "execution needs `type`",
            f"one of: {', '.join(EXECUTORS)}",
        )
        return Execution()
    if executor and executor in EXECUTORS and executor != kind_of:
        parent.report.error(
            join(path, "type"),
            node.mark_of("type"),
            f"the execution type is {kind_of}, the executor is {executor}",
            "make them equal",
        )
    members = _members(node)
    if kind_of == "null":
        return Execution("null", {key: plain(value) for key, value in members.items() if key != "type"})
    flat = Mapping(members, node.mark, node.marks)
    execution = Fields(parent.context, SHAPES[kind_of], flat, path, node.mark_of("type"))
    params = _READERS[kind_of](execution)
    # What the format does not know is passed through, as the reference does.
    for key in members.keys() - SHAPES[kind_of].known - SHAPES[kind_of].older.keys():
        params[key] = plain(members[key])
    return Execution(kind_of, params)


def _type(node: Mapping) -> str:
    given = node.items.get("type")
    if isinstance(given, Scalar) and (given.value is not None or given.text == "null"):
        return given.text
    return ""


def _members(node: Mapping) -> dict[str, Tree]:
    """Return the members on one level: `params` of the V1 form are spread."""
    params = node.items.get("params")
    if not isinstance(params, Mapping):
        return {key: value for key, value in node.items.items() if key != "params"}
    outer = {key: value for key, value in node.items.items() if key != "params"}
    return params.items | outer


def _docker(execution: Fields) -> dict[str, Any]:
    params = _container(execution)
    if privileged := execution.boolean("privileged"):
        params["privileged"] = privileged
    if policy := execution.choice("restart_policy", _RESTART_POLICIES, ""):
        params["restart_policy"] = policy
    return params


def _containerd(execution: Fields) -> dict[str, Any]:
    params = _container(execution)
    if privileged := execution.boolean("privileged"):
        params["privileged"] = privileged
    params["runtime"] = execution.choice("runtime", _RUNTIMES, "runc")
    return params


def _container(execution: Fields) -> dict[str, Any]:
    image = execution.text("image", required="the image to run, such as `image: alpine:3.20`")
    if image and not is_image(image):
        execution.error(
            "image", f"{image[:80]!r} is no image name", "registry/name:tag, the name in small letters"
        )
    params: dict[str, Any] = {"image": image} | _command(execution)
    if user := execution.text("user"):
        params["user"] = user
    return params


def _command(execution: Fields) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key in ("entrypoint", "cmd"):
        if words := _words(execution, key):
            params[key] = words
    if environment := read_environment(execution):
        params["environment"] = environment
    if folder := execution.text("working_directory"):
        params["working_directory"] = folder
    return params


def _words(execution: Fields, key: str) -> list[str]:
    """Return a command as a list; empty words are words."""
    if isinstance(execution.find(key), Scalar):
        hint = _CMD if key == "cmd" else 'write `entrypoint: ["/bin/tool"]`'
        execution.error(key, "must be a list of words, not text", hint)
        return []
    return [text_of(execution.context, item, path, may_be_empty=True) for path, item in execution.rows(key)]


def read_environment(execution: Fields) -> list[str]:
    """Return the `KEY=VALUE` entries."""
    found = []
    for path, item in execution.rows("environment", hint="write `- KEY=VALUE` for each variable"):
        text = text_of(execution.context, item, path)
        name, equals, _ = text.partition("=")
        if text and not (equals and VARIABLE.fullmatch(name)):
            execution.report.error(
                path,
                item.mark,
                f"{text[:80]!r} is not KEY=VALUE",
                "the key begins with a letter or _ and holds letters, digits and _",
            )
        found.append(text)
    return found


def _process(execution: Fields) -> dict[str, Any]:
    params = _command(execution)
    given = execution.find("cmd")
    if not params.get("cmd") and (given is None or isinstance(given, Sequence)):
        execution.error("cmd", "process execution needs `cmd`", _CMD)
    return params


def _firecracker(execution: Fields) -> dict[str, Any]:
    params: dict[str, Any] = {
        "kernel_image": execution.text("kernel_image", required="the path of the kernel"),
        "root_file_system": execution.text("root_file_system", required="the path of the root file system"),
    }
    for key in ("kernel_args", "initrd", "mmds_message"):
        if text := execution.text(key, may_be_empty=True):
            params[key] = text
    return params


_READERS: dict[str, Callable[[Fields], dict[str, Any]]] = {
    "docker": _docker,
    "containerd": _containerd,
    "process": _process,
    "firecracker": _firecracker,
}
