"""What a request must meet to be good: limits of one's own, or a preset's by name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from generator.scenario import slo_presets
from generator.scenario.fields import Duration, Share, Strict, WrongError, short_or_long

_TIMES = ("ttft", "ttft_wire", "ttfo", "tpot", "ntpot", "icl", "e2e")


class FluidityForm(Strict):
    """``90%``, or ``{share: 90%, first: 500ms, next: 50ms}``: the share of an answer's chunks that come by their deadlines."""

    share: Share
    first: Duration | None = Field(
        default=None, description="Time allowed for the first chunk; the SLO's ttft unless said."
    )
    next: Duration | None = Field(
        default=None, description="Time allowed for each further chunk; the SLO's tpot unless said."
    )

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"share": value}


_SHARE_TEXT: dict[str, Any] = {"type": ["string", "number"], "description": "A share.", "examples": ["90%"]}


class SloForm(Strict):
    """``{ttft: 500ms, tpot: 50ms, attainment: 99%}``; ``mlperf/llama2-70b``, or that as ``preset`` with what is to differ beside it."""

    preset: str | None = Field(default=None, json_schema_extra={"enum": [*slo_presets.PRESETS, None]})
    ttft: Duration | None = None
    ttft_wire: Duration | None = None
    ttfo: Duration | None = None
    tpot: Duration | None = None
    ntpot: Duration | None = None
    icl: Duration | None = Field(default=None, description="The longest gap between two chunks of the answer.")
    e2e: Duration | None = None
    fluidity: Annotated[FluidityForm, short_or_long(FluidityForm, _SHARE_TEXT)] | None = None
    attainment: Share | None = Field(default=None, description="Share of the scheduled requests that must be good.")

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return {"preset": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sensible(self) -> SloForm:
        if self.preset is not None:
            try:
                slo_presets.find(self.preset)
            except ValueError as e:
                raise WrongError(str(e), "preset") from None
        for key in _TIMES:
            if getattr(self, key) == 0:
                raise WrongError("a limit of zero is met by nothing; give a time above 0", key)
        limits = self.limits()
        if self.fluidity is not None and not {"fluidity_first_ms", "fluidity_next_ms"} <= limits.keys():
            raise WrongError(
                "fluidity needs deadlines: give first and next, as {share: 90%, first: 500ms, next: 50ms}, or the SLO's ttft and tpot",
                "fluidity",
            )
        return self

    def limits(self) -> dict[str, float]:
        """Milliseconds by ``<metric>_ms``; ``fluidity`` and ``attainment`` within [0, 1]; a preset's where nothing else is said."""
        found: dict[str, float] = {}
        if self.preset is not None:
            preset = slo_presets.find(self.preset)
            found = {"ttft_ms": preset.ttft_ms, "tpot_ms": preset.tpot_ms}
        found |= {f"{key}_ms": ns / 1e6 for key in _TIMES if (ns := getattr(self, key)) is not None}
        if self.fluidity is not None:
            found["fluidity"] = self.fluidity.share
            deadlines = {"first": (self.fluidity.first, "ttft_ms"), "next": (self.fluidity.next, "tpot_ms")}
            for name, (ns, otherwise) in deadlines.items():
                if ns is not None or otherwise in found:
                    found[f"fluidity_{name}_ms"] = found[otherwise] if ns is None else ns / 1e6
        if self.attainment is not None:
            found["attainment"] = self.attainment
        elif self.preset is not None:
            found["attainment"] = slo_presets.find(self.preset).attainment
        return found


_PRESET_TEXT: dict[str, Any] = {"enum": list(slo_presets.PRESETS), "description": "A preset's name."}
Slo = Annotated[SloForm, short_or_long(SloForm, _PRESET_TEXT)]
