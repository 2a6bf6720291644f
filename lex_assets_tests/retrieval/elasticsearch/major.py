"""Prints the major version of the server at LEX_TEST_ES_URL: `make test-elasticsearch` takes the client of that version."""

import os
import sys

from lex_assets_tests.retrieval.elasticsearch.front import Live


def major(url, key, ca_certs):
    status, body = Live(url, ca_certs).answer("GET", "/", {}, {"Authorization": f"ApiKey {key}"} if key else {}, b"")
    if status != 200:
        raise OSError(f"{status} {body.get('error')}")
    return body["version"]["number"].partition(".")[0]


if __name__ == "__main__":
    url = os.environ["LEX_TEST_ES_URL"]
    try:
        print(major(url, os.environ.get("LEX_ES_API_KEY"), os.environ.get("LEX_ES_CA_CERTS")))
    except OSError as error:
        sys.exit(f"{url}: no answer ({error}); start the server, or check LEX_ES_API_KEY and LEX_ES_CA_CERTS")
