"""A stage of your own: `uses: my_stages:Uppercase`."""

import pyarrow as pa
import pyarrow.compute as pc

from stages.contract import Input, Kind, Output, RowStage


class Uppercase(RowStage):
    """Write every text in capital letters."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "any documents")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same, in capital letters")}
    conserves = ("documents", ("documents",))

    def apply(self, rows, context):
        edits = [[*earlier, "uppercase"] for earlier in rows["edits"].to_pylist()]
        new = {"text": pc.utf8_upper(rows["text"]), "edits": pa.array(edits, rows["edits"].type)}
        return pa.table({name: new.get(name, rows[name]) for name in rows.column_names})
