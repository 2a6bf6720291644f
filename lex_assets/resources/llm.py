"""Which language models write and judge questions, how hard they may be asked, and what they may cost."""

import os
from typing import Literal, cast

import dagster as dg
from pydantic import Field

from lex_assets.llm.budget import Budget, Meter, Price, Prices
from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Parameters
from lex_assets.llm.client import ClientConfig, LlmClient
from lex_assets.llm.endpoint import Endpoint
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import LexError

_LIMITS = ("max_tokens", "max_completion_tokens")
_FORMATS = ("json_schema", "json_object", "text")


class LlmResource(dg.ConfigurableResource, ClientConfig, Budget, Prices):
    """The models that write and that judge questions, with one budget per run and one cache for all runs.

    Addresses, models and keys that are empty here come from LEX_LLM_BASE_URL, LEX_LLM_MODEL, LEX_LLM_API_KEY and, for the
    judge, LEX_LLM_JUDGE_…; where those are unset too, the writing model judges. Run config replaces all fields at once,
    so that what belongs to a machine is better left to its environment.
    """

    store: dg.ResourceDependency[StoreResource]
    base_url: str = Field(default="", description="주소(예: https://api.upstage.ai/v1). Base URL of the endpoint.")
    model: str = Field(default="", description="모델 이름(예: solar-pro2). The model's name there.")
    api_key: str = Field(default="", repr=False, description="키, EnvVar로만. The key; give it as an EnvVar only.")
    licence: str = Field(
        default="", description="생성물의 이용 조건, 질문마다 남음. Terms of its output; kept with every question."
    )
    judge_base_url: str = Field(default="", description="검수 모델의 주소, 비우면 위와 같음. Empty: as above.")
    judge_model: str = Field(default="", description="검수 모델, 비우면 위와 같음. The judging model; empty: as above.")
    judge_api_key: str = Field(
        default="", repr=False, description="검수 모델의 키. The judge's key, from the environment."
    )
    temperature: float | None = Field(
        default=0.3, description="표집 온도, 비우면 보내지 않음. Sampling temperature of the writer; null is not sent."
    )
    max_tokens: int = Field(default=1024, ge=1, description="답 하나의 최대 토큰 수. Longest answer, in tokens.")
    max_tokens_field: str = Field(
        default=_LIMITS[0], description=f"그 한도의 이름. What the endpoint calls that limit: {' or '.join(_LIMITS)}."
    )
    response_format: str = Field(
        default=_FORMATS[0], description=f"JSON을 요구하는 방식. How JSON is asked for: {', '.join(_FORMATS)}."
    )
    reasoning_effort: str = Field(default="", description="추론 정도, 비우면 보내지 않음. Empty is not sent.")

    def meter(self) -> Meter:
        """A new budget, for one run."""
        return Meter(Budget(**{name: getattr(self, name) for name in Budget.model_fields}))

    def writer(self, meter: Meter) -> LlmClient:
        """The client that writes questions. Raises LexError where it is not configured."""
        return self._client(self._writing(), self._parameters(), self.of_writer, meter)

    def judging(self, meter: Meter) -> LlmClient:
        """The client that judges them, without sampling. Raises LexError where it is not configured."""
        where = Endpoint.from_environment("judge", self._environment())
        price = self.of_judge(where.model == self._writing().model)
        return self._client(where, self._parameters().without_sampling(), price, meter)

    def _writing(self) -> Endpoint:
        return Endpoint.from_environment("question", self._environment())

    def _environment(self) -> dict[str, str]:
        """The environment under what is configured here. Its keys go to no address that it does not name itself.

        Raises LexError for a key that was written into the config, which Dagster keeps and shows."""
        given = {
            f"LEX_LLM_{role}{name}": getattr(self, f"{role.lower()}{name.lower()}")
            for role in ("", "JUDGE_")
            for name in ("BASE_URL", "MODEL", "API_KEY")
        }
        named = {name: value for name, value in given.items() if value}
        written = [n for n, value in named.items() if n.endswith("API_KEY") and value not in os.environ.values()]
        if written:
            field = written[0].removeprefix("LEX_LLM_").lower()
            raise LexError(
                f"{field} of the resource llm is written in its config, which everybody who sees the run can read; revoke "
                f"that key, set {written[0]} to a new one, and leave {field} empty or give it as {{'env': VARIABLE}}"
            )
        elsewhere = {
            name.replace("BASE_URL", "API_KEY"): ""
            for name, value in named.items()
            if name.endswith("BASE_URL") and value != os.environ.get(name)
        }
        return dict(os.environ) | elsewhere | named

    def _parameters(self) -> Parameters:
        for name, value, known in (
            ("max_tokens_field", self.max_tokens_field, _LIMITS),
            ("response_format", self.response_format, _FORMATS),
        ):
            if value not in known:
                raise LexError(f"{name} {value!r} of the resource llm is not known; choose from {', '.join(known)}")
        return Parameters(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            max_tokens_field=cast(Literal["max_tokens", "max_completion_tokens"], self.max_tokens_field),
            response_format=cast(Literal["json_schema", "json_object", "text"], self.response_format),
            reasoning_effort=self.reasoning_effort,
        )

    def _client(self, where: Endpoint, parameters: Parameters, price: Price, meter: Meter) -> LlmClient:
        config = ClientConfig(**{name: getattr(self, name) for name in ClientConfig.model_fields})
        return LlmClient(where, ReplyCache(self.store.replies), config, parameters, price, meter)
