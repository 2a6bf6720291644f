"""Where the server is, and a client that it has let in."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lex_assets.retrieval.elasticsearch.failures import explained, patiently
from lex_assets.schemas import LexError

URL_VARIABLE, CLOUD_VARIABLE = "LEX_ES_URL", "LEX_ES_CLOUD_ID"
KEY_VARIABLE, CA_VARIABLE = "LEX_ES_API_KEY", "LEX_ES_CA_CERTS"
REQUEST_TIMEOUT_S = 60


@dataclass(frozen=True)
class Server:
    """An address or a cloud id, and how to be let in. Neither key nor address is in its repr."""

    url: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    ca_certs: str = ""
    cloud_id: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls) -> Server:
        """LEX_ES_URL or LEX_ES_CLOUD_ID, LEX_ES_API_KEY and LEX_ES_CA_CERTS (path of a PEM file).

        Raises LexError without an address, or with both.
        """
        url, cloud_id = os.environ.get(URL_VARIABLE, ""), os.environ.get(CLOUD_VARIABLE, "")
        if url and cloud_id:
            raise LexError(f"Elasticsearch: {URL_VARIABLE} and {CLOUD_VARIABLE} are both set; unset one")
        if not cloud_id and not urlsplit(url).hostname:
            raise LexError(
                f"no Elasticsearch address; set {URL_VARIABLE} (https://host:9200) or {CLOUD_VARIABLE}, "
                "or use engine embedded"
            )
        return cls(url, os.environ.get(KEY_VARIABLE, ""), os.environ.get(CA_VARIABLE, ""), cloud_id)

    @property
    def address(self) -> str:
        """Host and port, without what a URL may hold of a password; of a cloud id its name."""
        return urlsplit(self.url).netloc.rpartition("@")[2] or self.cloud_id.partition(":")[0]

    def connect(self) -> Any:
        """A client whose server has answered. Raises LexError when it does not, or does not let us in."""
        from elasticsearch import Elasticsearch

        if self.ca_certs and not Path(self.ca_certs).is_file():
            raise LexError(f"{self.ca_certs}: no such file; correct {CA_VARIABLE}")
        try:
            client = Elasticsearch(**self._options())
        except (ValueError, OSError) as error:
            variable = CLOUD_VARIABLE if self.cloud_id else URL_VARIABLE
            raise LexError(
                f"Elasticsearch: {variable} cannot be used ({type(error).__name__}); correct it"
            ) from None  # the cause may quote the address with its password
        with explained(f"Elasticsearch at {self.address}"):
            patiently(client.info)
        return client

    def _options(self) -> dict[str, Any]:
        """Arguments of the client. A busy server is waited for by `patiently`, a lost connection by the client."""
        given = {"hosts": self.url, "cloud_id": self.cloud_id, "api_key": self.api_key, "ca_certs": self.ca_certs}
        options: dict[str, Any] = {name: value for name, value in given.items() if value}
        return options | {"request_timeout": REQUEST_TIMEOUT_S, "retry_on_timeout": True, "retry_on_status": ()}
