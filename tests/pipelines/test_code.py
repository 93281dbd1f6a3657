"""Reachable code: which edits change a stage's identity, and which must not."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.code import CodeIndex
from pipelines.registry import vocabulary

Reach = dict[str, str]

# A small project: `stage.py` reaches into the package `method` in many ways.
FILES = {
    "stage.py": '''
        """A stage."""
        import method
        import method.sums
        import method.means as m
        import numpy as np
        from method import exported, renamed as short
        from method.deep.inner import relative
        from stages.contract import Field, Input, Kind, Output, Stage, StageConfig, execution_field

        LIMIT = 3
        TABLE = {"a": LIMIT}
        LEFT, RIGHT = 1, 2
        UNUSED = 9


        def decorate(function):
            return function


        def helper(x: int) -> int:
            # A comment.
            return x + LEFT


        def default():
            return 4


        def unreached(x):
            return helper(x) + UNUSED


        class Base(Stage):
            def shared(self):
                return TABLE


        class Own(Base):
            """What it does."""

            class Config(StageConfig):
                size: int = Field(3, ge=1, description="how many")
                log_every: int = execution_field(5, description="how often", why="it only looks")

            inputs = {"documents": Input(Kind.DOCUMENTS, "the documents")}
            outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}

            @decorate
            def run(self, inputs, outputs, context, more=default()):
                """Run."""
                from method.lazy import late

                text = f"{helper(1)}"
                return method.sums.total(m.mean(np.ones(3))), exported(), short(), late(), relative()
        ''',
    "method/__init__.py": """
        from .sums import original as exported
        from method.means import renamed
        """,
    "method/sums.py": """
        def total(x):
            return x


        def original():
            return _private()


        def _private():
            return 1


        def elsewhere():
            return 2
        """,
    "method/means.py": """
        SCALE = 1.0
        if SCALE:
            WAY = "a"
        else:
            WAY = "b"
        try:
            import fast
        except ImportError:
            fast = None


        def mean(x):
            return x * SCALE, WAY


        def renamed():
            return 5


        class Unreached:
            x = 1
        """,
    "method/lazy.py": """
        def late():
            return 6
        """,
    "method/deep/__init__.py": "",
    "method/deep/inner.py": """
        from .. import sums
        from .beside import near


        def relative():
            return near() + sums.total(1)
        """,
    "method/deep/beside.py": """
        def near():
            return 7
        """,
}


def project(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def reach(folder: Path, module: str = "stage", name: str = "Own") -> Reach:
    return CodeIndex([folder]).reach(module, name)


def changed(before: Reach, after: Reach) -> set[str]:
    """What an explanation would name."""
    return {n for n in {*before, *after} if before.get(n) != after.get(n)}


@pytest.fixture
def edit(tmp_path: Path) -> Callable[[str, str, str], set[str]]:
    """Replace text in one file of the project; what changed in the reach of the stage."""
    project(tmp_path, FILES)
    before = reach(tmp_path)

    def edited(file: str, old: str, new: str) -> set[str]:
        path = tmp_path / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))
        return changed(before, reach(tmp_path))

    return edited


def test_a_stage_reaches_itself_and_all_it_names_and_nothing_else(tmp_path: Path) -> None:
    project(tmp_path, FILES)
    own = {name for name in reach(tmp_path) if not name.startswith("stages.")}
    assert own == {
        "stage:Own", "stage:Base", "stage:TABLE", "stage:LIMIT", "stage:helper",
        "stage:LEFT", "stage:RIGHT",  # made by one statement
        "stage:decorate", "stage:default",
        "method.sums:total", "method.sums:original", "method.sums:_private",
        "method.means:mean", "method.means:renamed", "method.means:SCALE", "method.means:WAY",
        "method.lazy:late", "method.deep.inner:relative",
        "method.deep.beside:near",
    }  # fmt: skip


def test_the_interface_of_stages_is_not_reached(tmp_path: Path) -> None:
    project(tmp_path, FILES)
    assert not [name for name in reach(tmp_path) if name.startswith("stages.contract")]


def test_the_same_code_has_the_same_hashes_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("one", "two/deeper"):
        project(tmp_path / name, FILES)
    assert reach(tmp_path / "one") == reach(tmp_path / "two/deeper")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stage.py", "# A comment.", "# Another comment, longer."),
        ("stage.py", '"""What it does."""', '"""What it does,\n    and how."""'),
        ("stage.py", '"""Run."""', ""),
        ("stage.py", '"""A stage."""', '"""A good stage."""'),
        ("stage.py", "return x + LEFT", "return (\n        x\n        + LEFT\n    )"),
        ("stage.py", '{"a": LIMIT}', "{'a': LIMIT,}"),
        ("stage.py", "x: int) -> int", "x: float) -> float"),
        ("stage.py", "def helper(x: int) -> int", "def helper(x)"),
        ("stage.py", 'description="how many"', 'description="how many there are"'),
        ("stage.py", ', description="how many"', ""),
        ("stage.py", '"the documents"', '"those documents"'),
        ("stage.py", '"the same"', 'description="nearly the same"'),
        ("stage.py", "execution_field(5", "execution_field(6"),
        ("stage.py", 'why="it only looks"', 'why="it looks only"'),
        ("stage.py", "\ndef unreached", "\n\n\n\ndef unreached"),
        ("stage.py", "return helper(x) + UNUSED", "return 0"),
        ("stage.py", "UNUSED = 9", "UNUSED = 10"),
        ("method/sums.py", "def elsewhere():\n    return 2", "def elsewhere():\n    return 3"),
        ("method/sums.py", "def elsewhere", "def nowhere"),
        ("method/means.py", "x = 1", "x = 2"),
        ("method/lazy.py", "def late", "import os\n\nMORE = 1\n\n\ndef late"),
    ],
    ids=[
        "comment", "class_docstring", "function_docstring_gone", "module_docstring", "layout",
        "quotes_and_comma", "annotations", "annotations_gone", "field_description",
        "field_description_gone", "input_description", "output_description_by_name",
        "default_of_an_execution_field", "reason_of_an_execution_field", "blank_lines",
        "function_not_reached", "constant_not_reached", "sibling_not_reached",
        "sibling_renamed", "class_not_reached", "new_things_beside",
    ],
)  # fmt: skip
def test_an_edit_that_changes_no_result_changes_no_hash(
    edit: Callable[[str, str, str], set[str]], file: str, old: str, new: str
) -> None:
    assert edit(file, old, new) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("stage.py", 'f"{helper(1)}"', 'f"{helper(2)}"', "stage:Own"),
        ("stage.py", "Field(3, ge=1", "Field(4, ge=1", "stage:Own"),
        ("stage.py", "ge=1", "ge=2", "stage:Own"),
        ("stage.py", "size: int", "size: float", "stage:Own"),
        ("stage.py", '"documents": Input(Kind.D', '"texts": Input(Kind.D', "stage:Own"),
        ("stage.py", "return x + LEFT", "return x - LEFT", "stage:helper"),
        ("stage.py", "LIMIT = 3", "LIMIT = 4", "stage:LIMIT"),
        ("stage.py", '{"a": LIMIT}', '{"b": LIMIT}', "stage:TABLE"),
        ("stage.py", "LEFT, RIGHT = 1, 2", "LEFT, RIGHT = 3, 2", "stage:LEFT stage:RIGHT"),
        ("stage.py", "return TABLE", "return dict(TABLE)", "stage:Base"),
        ("stage.py", "return function", "return lambda *a: function(*a)", "stage:decorate"),
        ("stage.py", "return 4", "return 44", "stage:default"),
        ("method/sums.py", "return x", "return x + 1", "method.sums:total"),
        ("method/sums.py", "return 1", "return 11", "method.sums:_private"),
        ("method/sums.py", "return _private()", "return 2 * _private()", "method.sums:original"),
        ("method/means.py", "x * SCALE", "x / SCALE", "method.means:mean"),
        ("method/means.py", "SCALE = 1.0", "SCALE = 2.0", "method.means:SCALE"),
        ("method/means.py", 'WAY = "b"', 'WAY = "c"', "method.means:WAY"),
        ("method/means.py", "return 5", "return 55", "method.means:renamed"),
        ("method/lazy.py", "return 6", "return 66", "method.lazy:late"),
        ("method/deep/inner.py", "near() +", "near() *", "method.deep.inner:relative"),
        ("method/deep/beside.py", "return 7", "return 77", "method.deep.beside:near"),
    ],
    ids=[
        "stage_body", "config_default", "config_bound", "config_type", "input_name", "function",
        "constant", "value_made_of_a_constant", "unpacked_constant", "base_class", "decorator",
        "default_argument", "attribute_of_a_submodule", "function_behind_a_re_export",
        "re_exported_under_another_name", "import_as", "constant_of_another_module",
        "under_a_module_level_if", "re_exported_and_renamed",
        "import_inside_a_function", "relative_import", "relative_import_of_a_neighbour",
    ],
)  # fmt: skip
def test_an_edit_of_what_is_reached_changes_the_hash_and_names_it(
    edit: Callable[[str, str, str], set[str]], file: str, old: str, new: str, named: str
) -> None:
    assert edit(file, old, new) == set(named.split())


def test_renaming_a_function_names_the_old_the_new_and_its_caller(
    edit: Callable[[str, str, str], set[str]], tmp_path: Path
) -> None:
    path = tmp_path / "method/sums.py"
    path.write_text(path.read_text().replace("return _private()", "return _secret()"))
    assert edit("method/sums.py", "def _private", "def _secret") == {
        "method.sums:_private", "method.sums:_secret", "method.sums:original",
    }  # fmt: skip


def test_pointing_a_re_export_elsewhere_changes_what_is_reached(
    edit: Callable[[str, str, str], set[str]],
) -> None:
    assert edit("method/__init__.py", "import original as", "import elsewhere as") == {
        "method.sums:original", "method.sums:_private", "method.sums:elsewhere",
    }  # fmt: skip


def test_moving_a_function_to_another_module_is_a_change(
    edit: Callable[[str, str, str], set[str]], tmp_path: Path
) -> None:
    (tmp_path / "method/other.py").write_text("def near():\n    return 7\n")
    assert edit("method/deep/inner.py", "from .beside", "from ..other") == {
        "method.deep.beside:near", "method.other:near",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("main", "other", "reached"),
    [
        ("import a.other\n\ndef Own():\n    return a.other.f()\n", "a/other.py", "a.other:f"),
        ("from a import other\n\ndef Own():\n    return other.f()\n", "a/other.py", "a.other:f"),
        ("from a.other import *\n\ndef Own():\n    return f()\n", "a/other.py", "a.other:f"),
        ("import other\n\ndef Own():\n    return [g.f for g in [other]]\n", "other.py", "other:f"),
        ("import other as o\n\nalias = o.f\n\ndef Own():\n    return alias()\n", "other.py",
         "other:f"),
        ("import other\n\nclass Own:\n    f = other.f\n", "other.py", "other:f"),
        ("import other\n\ndef Own():\n    def inner(x=other.f()): return x\n    return inner\n",
         "other.py", "other:f"),
        ("import other\n\ndef Own():\n    return lambda: other.f().real\n", "other.py", "other:f"),
        ("from other import f as g\n\nTABLE = {'a': [g]}\n\ndef Own():\n    return TABLE['a'][0]()\n",
         "other.py", "other:f"),
    ],
    ids=[
        "folder_without_init", "module_of_a_folder_without_init", "star_import", "module_as_a_value",
        "alias", "class_attribute", "inner_function", "lambda", "table_of_functions",
    ],
)  # fmt: skip
def test_what_a_name_stands_for_is_reached_however_it_was_imported(
    tmp_path: Path, main: str, other: str, reached: str
) -> None:
    project(tmp_path, {"stage.py": main, other: "def f():\n    return 1\n"})
    assert reached in reach(tmp_path)


def test_a_star_in_the_init_of_a_package_re_exports(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "stage.py": "from a import f\n\ndef Own():\n    return f()\n",
            "a/__init__.py": "from .b import *\n",
            "a/b.py": "def f():\n    return 1\n",
        },
    )
    assert "a.b:f" in reach(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TABLE[n] = n * n", "TABLE[n] = n + n"),
        ("TABLE.update(z=1)", "TABLE.update(z=2)"),
        ("TABLE['k'] = 5", "TABLE['k'] = 6"),
        ("TOTAL += 1", "TOTAL += 2"),
        ("if FAST:", "if not FAST:"),
    ],
    ids=["loop", "method_call", "item", "augmented", "condition"],
)
def test_what_fills_a_constant_when_its_module_is_loaded_counts(
    tmp_path: Path, old: str, new: str
) -> None:
    source = textwrap.dedent(
        """\
        TABLE = {}
        for n in range(3):
            TABLE[n] = n * n
        TABLE.update(z=1)
        TABLE['k'] = 5
        TOTAL = 0
        TOTAL += 1
        FAST = False
        if FAST:
            WAY = 1
        else:
            WAY = 2


        def Own():
            return TABLE, TOTAL, WAY
        """
    )
    assert source.count(old) == 1
    project(tmp_path / "one", {"stage.py": source})
    project(tmp_path / "two", {"stage.py": source.replace(old, new)})
    assert reach(tmp_path / "one") != reach(tmp_path / "two")


def test_what_stands_in_for_a_library_that_is_not_there_counts(tmp_path: Path) -> None:
    source = (
        "try:\n    import fast\nexcept ImportError:\n    fast = %s\n\n\n"
        "def Own():\n    return fast\n"
    )
    project(tmp_path / "one", {"stage.py": source % "None"})
    project(tmp_path / "two", {"stage.py": source % "0"})
    assert changed(reach(tmp_path / "one"), reach(tmp_path / "two")) == {"stage:fast"}


PAGES = {
    "stage.py": """
        from pages import page


        class Own:
            def run(self):
                return page("main")
        """,
    "pages/__init__.py": """
        def page(name):
            '''Not of unused.j2, which is only spoken of.'''
            return open("main.j2" if name == "main" else "elsewhere.j2").read()
        """,
    "pages/templates/main.j2": "Found: {{ value }}",
    "pages/templates/unused.j2": "Nothing",
    "templates/main.j2": "Not beside the module that names it.",
}


def test_a_template_counts_where_the_code_beside_it_names_it(tmp_path: Path) -> None:
    project(tmp_path, PAGES)
    index = CodeIndex([tmp_path])
    before = index.reach("stage", "Own")
    assert set(before) == {"stage:Own", "pages:page", "pages:templates/main.j2"}
    assert index.texts("stage", "Own")["pages:templates/main.j2"] == "Found: {{ value }}"
    sources = index.sources("stage", "Own")
    assert index.sources_now(sources) == sources
    for name in ("pages/templates/unused.j2", "templates/main.j2"):
        (tmp_path / name).write_text("Something else")
        assert reach(tmp_path) == before
    template = tmp_path / "pages/templates/main.j2"
    template.write_text("Found: {{ value }}!")
    assert changed(before, reach(tmp_path)) == {"pages:templates/main.j2"}
    now = index.sources_now(sources)
    assert {n for n in sources if now[n] != sources[n]} == {"pages:templates/main.j2"}
    template.unlink()
    assert index.sources_now(sources)["pages:templates/main.j2"] == ""


def test_functions_that_call_each_other_end_the_search(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "stage.py": "from other import f\n\ndef Own():\n    return f()\n",
            "other.py": "import stage\n\ndef f():\n    return g()\n\ndef g():\n"
            "    return f() or stage.Own()\n",
        },
    )
    assert set(reach(tmp_path)) == {"stage:Own", "other:f", "other:g"}


def test_two_definitions_of_one_name_both_count(tmp_path: Path) -> None:
    source = "try:\n    def f(): return 1\nexcept E:\n    def f(): return %d\n\nOwn = f\n"
    project(tmp_path / "one", {"stage.py": source % 2})
    project(tmp_path / "two", {"stage.py": source % 3})
    assert changed(reach(tmp_path / "one"), reach(tmp_path / "two")) == {"stage:f"}


def test_a_name_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    project(tmp_path, FILES)
    with pytest.raises(LookupError, match='there is no "Nothing" in the source of module "stage"'):
        reach(tmp_path, "stage", "Nothing")


# -- this repository -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index() -> CodeIndex:
    return CodeIndex()


@pytest.mark.parametrize("word", sorted(vocabulary()))
def test_every_stage_is_found_and_none_reaches_the_interface(index: CodeIndex, word: str) -> None:
    stage = vocabulary()[word]
    reached = index.reach(stage.__module__, stage.__qualname__)
    assert f"{stage.__module__}:{stage.__qualname__}" in reached
    assert not [name for name in reached if name.startswith("stages.contract:")]
    assert not [name for name in reached if name.partition(".")[0] not in ("stages", "operators")]


def test_kernels_are_reached_and_where_their_machine_code_is_kept_is_not(index: CodeIndex) -> None:
    reached = index.reach("stages.tokenizer", "Train")
    assert "operators.tokenization.bpe_heap:offered" in reached
    assert "operators.tokenization.token_tables:pair_slot" in reached
    assert not [name for name in reached if name.startswith("operators.compiled:")]


def test_a_new_kind_of_artifact_changes_no_stage_that_does_not_use_it(index: CodeIndex) -> None:
    reached = index.reach("stages.editing", "Resample")
    assert "stages.kinds:TOKENS" in reached
    assert not {"stages.kinds:Kind", "stages.kinds:BITEXT"} & set(reached)


def test_resampling_reaches_its_method_and_no_other_family(index: CodeIndex) -> None:
    reached = index.reach("stages.editing", "Resample")
    assert "operators.editing.resampling:resample_tokens" in reached
    families = {name.split(".")[1] for name in reached if name.startswith("operators.")}
    assert "editing" in families
    assert not families & {"alignment", "corpus", "weighting", "plotting"}


def test_training_reaches_the_weights_and_no_editing(index: CodeIndex) -> None:
    reached = index.reach("stages.training", "LanguageModel")
    assert any(name.startswith("operators.weighting") for name in reached)
    assert not any(name.startswith("operators.editing") for name in reached)


def test_a_report_reaches_its_templates(index: CodeIndex) -> None:
    stage = vocabulary()["report.compare"]
    reached = index.reach(stage.__module__, stage.__qualname__)
    assert {"stages.report_page:templates/report.html.j2",
            "stages.report_page:templates/report.md.j2"} <= set(reached)  # fmt: skip
