"""Which language models write and judge questions, how hard they may be asked, and what they may cost."""

import dagster as dg
from pydantic import Field

from lex_assets.llm.budget import Budget, Meter, Price
from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Parameters
from lex_assets.llm.client import ClientConfig, LlmClient
from lex_assets.llm.endpoint import Endpoint, endpoint
from lex_assets.resources.store import StoreResource


class LlmModel(dg.ConfigurableResource):
    """A model behind an OpenAI-compatible endpoint, its price, and how it is asked to write."""

    base_url: str = Field(default="", description="주소(예: https://api.upstage.ai/v1). Base URL of the endpoint.")
    model: str = Field(default="", description="모델 이름(예: solar-pro2). The model's name there.")
    api_key: str = Field(default="", repr=False, description="키, 환경 변수로만. The key, from the environment only.")
    input_price: float | None = Field(
        default=None, description="입력 백만 토큰의 값, 모르면 비움. Price of a million input tokens; null: unknown."
    )
    output_price: float | None = Field(
        default=None, description="출력 백만 토큰의 값, 모르면 비움. Price of a million output tokens; null: unknown."
    )
    temperature: float | None = Field(
        default=0.3, description="표집 온도, 비우면 보내지 않음. Sampling temperature; null is not sent."
    )
    max_tokens: int = Field(default=1024, ge=1, description="답의 최대 토큰 수. Longest answer, in tokens.")
    max_tokens_field: str = Field(
        default="max_tokens", description="한도의 이름: max_tokens 또는 max_completion_tokens. Its name there."
    )
    response_format: str = Field(
        default="json_schema", description="json_schema, json_object, text. How structured answers are asked for."
    )
    reasoning_effort: str = Field(default="", description="추론 정도, 비우면 보내지 않음. Empty is not sent.")
    licence: str = Field(
        default="", description="생성물의 이용 조건, 질문마다 남음. Terms of its output; kept with every question."
    )

    def parameters(self) -> Parameters:
        """How it is asked to write."""
        return Parameters(**{name: getattr(self, name) for name in Parameters.model_fields})

    def price(self) -> Price:
        """What a million tokens cost."""
        return Price(input=self.input_price, output=self.output_price)


class LlmResource(dg.ConfigurableResource, ClientConfig, Budget):
    """The models that write and that judge questions, with one budget per run and one cache for all runs.

    The judge is the writing model where it is not named.
    """

    store: dg.ResourceDependency[StoreResource]
    questions: dg.ResourceDependency[LlmModel]
    judge: dg.ResourceDependency[LlmModel]

    def meter(self) -> Meter:
        """A new budget, for one run."""
        budget = {name: getattr(self, name) for name in Budget.model_fields}
        return Meter(Budget(**budget))

    def writer(self, meter: Meter) -> LlmClient:
        """The client that writes questions. Raises LexError where it is not configured."""
        return self._client(self.questions, self._questions(), meter)

    def judging(self, meter: Meter) -> LlmClient:
        """The client that judges them. Raises LexError where it is not configured."""
        named = self.judge
        where = endpoint("judge", named.base_url, named.model, named.api_key, self._questions())
        return self._client(named, where, meter)

    def _questions(self) -> Endpoint:
        return endpoint("question", self.questions.base_url, self.questions.model, self.questions.api_key)

    def _client(self, model: LlmModel, where: Endpoint, meter: Meter) -> LlmClient:
        config = ClientConfig(**{name: getattr(self, name) for name in ClientConfig.model_fields})
        price = (model if model.model else self.questions).price()
        return LlmClient(where, ReplyCache(self.store.replies), config, model.parameters(), price, meter)
