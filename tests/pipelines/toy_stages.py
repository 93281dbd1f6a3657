"""Small stages to plan with: no methods, only types."""

from typing import Literal

from pydantic import model_validator

from stages.contract import Field, Input, Kind, Output, RowStage, Stage, StageConfig


class _Planned(Stage):
    def run(self, inputs, outputs, context):
        raise NotImplementedError


class Make(_Planned):
    class Config(StageConfig):
        size: int = Field(1, ge=1, description="how many")
        rate: float = Field(0.5, description="how fast")
        name: str = Field("x", description="what it is called")
        on: bool = Field(True, description="whether it is on")
        method: Literal["length", "vecalign"] = Field("length", description="which way")
        seed: int = Field(0, description="of the draws")
        words: list[str] = Field([], description="some words")
        table: dict[str, str | int | float] = Field({}, description="a table")

    outputs = {"documents": Output(Kind.DOCUMENTS, "made"), "dropped": Output(Kind.DROPPED, "not")}


class MakeBitext(_Planned):
    outputs = {"bitext": Output(Kind.BITEXT, "made")}


class Clean(_Planned):
    class Config(StageConfig):
        min_chars: int = Field(3, description="shorter ones go")
        arm: str = Field("none", description="an arm")

    inputs = {"documents": Input(Kind.DOCUMENTS, "what is cleaned")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "clean"), "dropped": Output(Kind.DROPPED, "not")}


class Both(_Planned):
    class Config(StageConfig):
        factor: int = Field(1, description="a factor")

    inputs = {
        "left": Input(Kind.DOCUMENTS, "one side"),
        "right": Input(Kind.DOCUMENTS, "the other side"),
        "extra": Input(Kind.DOCUMENTS, "more, where there is", optional=True),
    }
    outputs = {"documents": Output(Kind.DOCUMENTS, "both")}


class Rows(RowStage):
    inputs = {"documents": Input(Kind.DOCUMENTS, "rows")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "rows")}

    def apply(self, rows, context):
        return rows


class Compare(_Planned):
    class Config(StageConfig):
        baseline: str = Field(description="the arm to compare with")
        low: int = Field(0, description="lower end")
        high: int = Field(9, description="upper end")

        @model_validator(mode="after")
        def in_order(self):
            if self.low > self.high:
                raise ValueError("low must not be above high")
            return self

    inputs = {"scores": Input(Kind.DOCUMENTS, "of all arms", many=True)}
    outputs = {"report": Output(Kind.REPORT, "the report")}


class Last(_Planned):
    inputs = {"documents": Input(Kind.DOCUMENTS, "what is thrown away")}
