"""Prints the major version of the server at LEX_TEST_ES_URL: `make test-elasticsearch` takes the client of that version."""

import os

from lex_assets_tests.retrieval.elasticsearch.front import Live

if __name__ == "__main__":
    key = os.environ.get("LEX_ES_API_KEY")
    server = Live(os.environ["LEX_TEST_ES_URL"], os.environ.get("LEX_ES_CA_CERTS"))
    status, body = server.answer("GET", "/", {}, {"Authorization": f"ApiKey {key}"} if key else {}, b"")
    if status != 200:
        raise SystemExit(f"{os.environ['LEX_TEST_ES_URL']}: {status} {body}")
    print(body["version"]["number"].partition(".")[0])
