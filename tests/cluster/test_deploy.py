"""What is deployed holds to the published schemas, and says commands that there are."""

from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import check_jsonschema
import click
import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml

from pipelines.cli import cli

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "cluster" / "deploy"
KUBERAY = json.loads(Path(__file__).with_name("kuberay.schema.json").read_text())
KUBERNETES = "1.31"
SAID = [*DEPLOY.rglob("*.yaml"), DEPLOY / "Containerfile", REPOSITORY / "README.md",
        *(REPOSITORY / "docs").glob("*.md")]  # fmt: skip

Document = dict[str, Any]


def documents(path: Path) -> list[Document]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


MANIFESTS = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}-{document['metadata']['name']}")
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in documents(path)
]


def pod_templates(value: Any) -> list[Document]:
    """Pod templates of KubeRay's groups."""
    if isinstance(value, list):
        return [found for inner in value for found in pod_templates(inner)]
    if not isinstance(value, dict):
        return []
    own = [value["template"]] if "rayStartParams" in value else []
    return own + [
        f for name, inner in value.items() if name != "template" for f in pod_templates(inner)
    ]


def check(document: Document) -> None:
    """Raise where a manifest does not hold to its schema."""
    if not document["apiVersion"].startswith("ray.io/"):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        return
    jsonschema.validate(document, KUBERAY)
    templates = pod_templates(document)
    assert templates
    for template in templates:
        wrapped = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"},
                   "template": template}  # fmt: skip
        kubernetes_validate.validate(wrapped, KUBERNETES, strict=True)


@pytest.mark.parametrize("document", MANIFESTS)
def test_a_manifest_holds_to_its_schema(document: Document) -> None:
    check(document)


@pytest.mark.parametrize("document", MANIFESTS)
def test_a_manifest_with_a_slip_does_not(document: Document) -> None:
    wrong = copy.deepcopy(document)
    body = wrong.get("spec", wrong)
    body["replicaz"] = 3
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(wrong)
    for template in pod_templates(wrong):
        template["spec"]["containers"][0]["imag"] = "x"
        body.pop("replicaz", None)
        with pytest.raises(kubernetes_validate.ValidationError):
            check(wrong)


def test_the_cluster_file_holds_to_the_schema_of_the_launcher() -> None:
    (document,) = documents(DEPLOY / "ray-cluster.yaml")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(document, schema)
    document["max_wokers"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_the_compose_file_holds_to_the_compose_specification() -> None:
    (document,) = documents(DEPLOY / "compose.yaml")
    vendor = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    schema = json.loads((vendor / "compose-spec.json").read_text())
    jsonschema.validate(document, schema)
    document["services"]["mlflow"]["imag"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_every_cluster_asks_for_a_token() -> None:
    for path in (DEPLOY / "kubernetes").glob("*.yaml"):
        for document in documents(path):
            spec = document.get("spec", {})
            spec = spec.get("rayClusterSpec", spec)
            if document["kind"] in ("RayCluster", "RayJob"):
                assert spec["authOptions"] == {"mode": "token"}
    (launched,) = documents(DEPLOY / "ray-cluster.yaml")
    assert "--env RAY_AUTH_MODE=token" in launched["docker"]["run_options"]
    assert "RAY_AUTH_MODE=token" in (DEPLOY / "Containerfile").read_text()


def test_nothing_listens_to_all_but_behind_a_proxy() -> None:
    (compose,) = documents(DEPLOY / "compose.yaml")
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_container_is_made_of_what_there_is() -> None:
    for line in (DEPLOY / "Containerfile").read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (REPOSITORY / source).exists(), line


def test_the_versions_are_those_that_were_tested() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        for version in re.findall(
            r"rayVersion: (\S+)|ray\[default\]==(\d[\d.]*)", path.read_text()
        ):
            assert ray.__version__ in version, path


def commands(path: Path) -> list[list[str]]:
    """The `tokenmill …` commands that a file says."""
    text = path.read_text().replace("\\\n", " ")
    if path.suffix == ".md":  # prose may begin a line with the name
        fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
        text = "\n".join([*fenced, *re.findall(r"`[^`\n]+`", text)])
    found = re.findall(
        r"(?:^[#\s$]*|`|; |&& )tokenmill ([a-z][^`#\n]*?)(?=`|\s{2,}|$|;| #)", text, re.M
    )
    if path.suffix == ".yaml":
        found += [
            shlex.join(container["command"][1:])
            for document in documents(path)
            for spec in [document.get("spec", {}).get("template", {}).get("spec", {})]
            for container in [*spec.get("containers", []), *spec.get("initContainers", [])]
            if container.get("command", [""])[0] == "tokenmill"
        ]
        found += [
            document["spec"]["entrypoint"].removeprefix("tokenmill ")
            for document in documents(path)
            if "entrypoint" in document.get("spec", {})
        ]
    return [shlex.split(command) for command in found]


@pytest.mark.parametrize("path", SAID, ids=lambda path: path.name)
def test_every_command_that_is_said_exists_with_its_options(path: Path) -> None:
    for words in commands(path):
        command: click.Command = cli
        rest = list(words)
        while isinstance(command, click.Group) and rest:
            name = rest.pop(0)
            assert name in command.commands, words
            command = command.commands[name]
        rest = [word for word in rest if word != "…"]
        known = {option for parameter in command.params for option in parameter.opts}
        for word in rest:
            if word.startswith("-") and not word.lstrip("-").isdigit():
                assert word.partition("=")[0] in known | {"--help"}, (path, words)


def test_commands_are_found_where_they_are_said() -> None:
    assert sum(len(commands(path)) for path in SAID) >= 40
    assert ["run", "/etc/tokenmill/dag.yaml", "--address", "auto", "--quiet"] in commands(
        DEPLOY / "kubernetes" / "ray-job.yaml"
    )
