"""Products that come and go, and conditional requests, of the service as it is by default."""

import re
import sqlite3
from contextlib import closing

import pytest
from catalogue_service import Service

NEW = {"name": "Cork globe", "category": "study", "description": "Ages well.", "price_cents": 4200}


@pytest.fixture(scope="module")
def service(valkey, tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("products"), f"redis://127.0.0.1:{valkey.port}/2")
    yield service
    service.stop()


def on_list(service, product_id):
    """What the list shows of a product, and how many it says there are; None where it has no such page."""
    answer = service.http.get("/products", params={"page": (product_id - 1) // 40 + 1})
    if answer.status_code == 404:
        return None
    return [item for item in answer.json()["items"] if item["id"] == product_id], answer.json()["total"]


def test_a_new_product_is_seen_at_once_and_so_is_its_removal(service):
    for product_id in (3000, 2001):  # on a list page of its own, and on one that is there
        path = f"/products/{product_id}"
        for _ in range(2):
            assert service.http.get(path).status_code == 404
        total = on_list(service, 1)[1]
        assert not (on_list(service, product_id) or [[]])[0]

        made = service.http.put(path, json=NEW)
        assert (made.status_code, made.headers["location"]) == (201, path)
        assert made.json() == {"id": product_id, **NEW}
        page = service.http.get(path).json()
        assert {"id": product_id, **NEW}.items() <= page.items()
        assert (page["lowest_cents"], page["price_changes"], page["stars"]) == (4200, 1, None)
        row = {"id": product_id, "name": NEW["name"], "price_cents": 4200}
        assert on_list(service, product_id) == ([row], total + 1)
        assert on_list(service, 1)[1] == total + 1, "every page of the list tells how many there are"

        assert service.http.delete(path).status_code == 204
        assert service.http.get(path).status_code == 404
        assert not (on_list(service, product_id) or [[]])[0]
        assert on_list(service, 1)[1] == total
        assert service.http.delete(path).status_code == 404


def test_what_is_there_is_not_created_again(service):
    before = service.http.get("/products/21").json()
    answer = service.http.put("/products/21", json=NEW)
    assert answer.status_code == 409
    assert service.http.get("/products/21").json() == before
    assert on_list(service, 21)[0][0]["price_cents"] == before["price_cents"]


@pytest.mark.parametrize(
    "change",
    [{"price_cents": -1}, {"price_cents": "5"}, {"name": ""}, {"category": None}, {"stock": 3}],
    ids=str,
)
def test_a_refused_product_is_not_there(service, change):
    assert service.http.put("/products/4000", json=NEW | change).status_code == 422
    assert service.http.get("/products/4000").status_code == 404


def test_a_product_id_that_fits_no_label_is_refused(service):
    assert service.http.put("/products/100000", json=NEW).status_code == 422


def test_a_removal_takes_history_reviews_and_pages_along(service):
    page = service.http.get("/products/2").json()
    gone = page["others_liked"][0]["id"]
    assert service.http.delete(f"/products/{gone}").status_code == 204
    assert gone not in [other["id"] for other in service.http.get("/products/2").json()["others_liked"]]
    with closing(sqlite3.connect(service.database)) as connection:
        for table in ("price_changes", "reviews"):
            count = connection.execute(f"SELECT count(*) FROM {table} WHERE product_id = ?", (gone,)).fetchone()
            assert count == (0,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("path", ["/products/50", "/products?page=2"])
def test_who_has_the_page_gets_304_until_it_changes(service, path):
    first = service.http.get(path)
    etag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]+"', etag)
    for names_it in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = service.http.get(path, headers={"If-None-Match": names_it})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert answer.headers["cache-status"] == "catalogue; hit"
        assert answer.headers["server-timing"].endswith('desc="0"')
    assert service.http.get(path, headers={"If-None-Match": '"other"'}).content == first.content

    price = service.price(50)
    service.set_price(50, price + 1)
    changed = service.http.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200 and changed.headers["etag"] != etag
    service.set_price(50, price)
    if "page" in path:
        assert service.http.get(path).headers["etag"] == etag, "it is of the content, not of the time"


def test_what_is_not_there_has_no_validator(service):
    answer = service.http.get("/products/9999", headers={"If-None-Match": "*"})
    assert answer.status_code == 404 and "etag" not in answer.headers
