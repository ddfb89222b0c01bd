"""The shape of a statement: its verb and its tables, and never a value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.visibility.statements import shape_of
from tier import examples

SHAPES = {
    "SELECT 1": "SELECT",
    "select price from product where id = 17": "SELECT product",
    'SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = %s LIMIT 21': "SELECT shop_product",
    "SELECT * FROM a, b AS x, c JOIN public.d ON a.id = d.id": "SELECT a, b, c, public.d",
    "SELECT * FROM (SELECT id FROM inner_table) AS t LEFT JOIN other USING (id)": "SELECT inner_table, other",
    "INSERT INTO product (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y'": "INSERT product",
    "INSERT OR REPLACE INTO `price` VALUES (1)": "INSERT price",
    "UPDATE product SET price = 3 WHERE id = 1": "UPDATE product",
    "DELETE FROM [basket] WHERE user = 'FROM secret'": "DELETE basket",
    "SELECT id FROM job FOR UPDATE SKIP LOCKED": "SELECT job",
    "SELECT EXTRACT(year FROM made) FROM bill": "SELECT bill",
    "SELECT * FROM generate_series(1, 10)": "SELECT",
    "WITH old AS (SELECT id FROM bill), x AS (SELECT 1) DELETE FROM bill USING old": "DELETE bill",
    "WITH RECURSIVE tree(id) AS (SELECT id FROM part UNION SELECT id FROM tree) SELECT * FROM tree": "SELECT part",
    "/* FROM nowhere */ SELECT x -- FROM here\nFROM t": "SELECT t",
    "SELECT $$ FROM nowhere $$ FROM t": "SELECT t",
    "BEGIN": "BEGIN",
    "PRAGMA foreign_keys = ON": "PRAGMA",
    "CREATE TABLE IF NOT EXISTS thing (id int)": "CREATE thing",
    "": "?",
    "17": "?",
}


@pytest.mark.parametrize("statement", SHAPES)
def test_a_shape_has_the_verb_and_the_tables(statement: str) -> None:
    assert shape_of(statement) == SHAPES[statement]
    assert shape_of(statement.encode()) == SHAPES[statement]


@settings(max_examples=examples(300), deadline=None)
@given(st.text())
def test_any_text_has_a_shape(statement: str) -> None:
    assert shape_of(statement)


@settings(max_examples=examples(300), deadline=None)
@given(st.from_regex(r"[A-Za-z0-9 ,.()=-]{1,30}", fullmatch=True), st.integers(min_value=10_000))
def test_no_value_gets_into_a_shape(secret: str, number: int) -> None:
    quoted = f"SELECT a FROM t WHERE b = 'FROM s3cret {secret}' AND c = {number} AND d IN ('INTO s3cret', {number})"
    assert shape_of(quoted) == "SELECT t"


def test_a_composed_statement_is_shown_as_text() -> None:
    sql = pytest.importorskip("psycopg.sql")
    statement = sql.SQL("SELECT {} FROM {}").format(sql.Identifier("price"), sql.Identifier("product"))
    assert shape_of(statement) == "SELECT product"
    assert shape_of(object()) == "?"
