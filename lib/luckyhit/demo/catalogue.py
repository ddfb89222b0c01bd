"""The shop's database queries: product pages, lists, and updates of prices and products."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from luckyhit.demo.database import Database

PAGE_SIZE = 40

_PRODUCT = "SELECT id, name, category, description, price_cents FROM products WHERE id = ?"
_HISTORY = """
SELECT min(price_cents) AS lowest_cents, max(price_cents) AS highest_cents, count(*) AS price_changes,
    (SELECT round(avg(stars), 2) FROM reviews WHERE product_id = ?) AS stars
FROM price_changes WHERE product_id = ?"""
_OTHERS_LIKED = """
SELECT products.id, products.name
FROM reviews JOIN products ON products.id = reviews.product_id
WHERE products.category = ? AND products.id != ?
GROUP BY products.id ORDER BY avg(stars) DESC, count(*) DESC, products.id LIMIT 6"""
_LIST = "SELECT id, name, price_cents FROM products WHERE id > ? AND id <= ? ORDER BY id"
_RECOMMENDING = """
SELECT id FROM products
WHERE category = (SELECT category FROM products WHERE id = ?) AND id != ?
    AND EXISTS (SELECT id FROM reviews WHERE product_id = ?)"""
_CREATE = """
INSERT INTO products (id, name, category, description, price_cents) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING id"""
_SET_PRICE = "UPDATE products SET price_cents = ? WHERE id = ? RETURNING id, name, price_cents"
_NOTE_PRICE = "INSERT INTO price_changes (product_id, price_cents, day) VALUES (?, ?, ?)"


class Catalogue:
    """The queries. Pages are the JSON that is sent (and cached); prices are in cents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def product_page(self, product_id: int) -> bytes | None:
        """One product with its price history, its stars and what else people liked; None if there is none.

        Three statements. The second and third read whole tables: this is what the cache is for.
        """
        async with self._database.reading() as ask:
            products = await ask(_PRODUCT, product_id)
            if not products:
                return None
            (product,) = products
            (history,) = await ask(_HISTORY, product_id, product_id)
            others = await ask(_OTHERS_LIKED, product["category"], product_id)
        return _json({**product, **history, "others_liked": others})

    async def list_page(self, page: int) -> bytes | None:
        """One page of the list, by product number; None if it is empty. Two statements."""
        async with self._database.reading() as ask:
            items = await ask(_LIST, (page - 1) * PAGE_SIZE, page * PAGE_SIZE)
            if not items:
                return None
            (count,) = await ask("SELECT count(*) AS total FROM products")
        return _json({"page": page, **count, "items": items})

    async def last_list_page(self) -> int:
        """The last page of the list, 0 without products. One statement."""
        async with self._database.reading() as ask:
            (row,) = await ask("SELECT max(id) AS highest FROM products")
        return list_page_of(row["highest"]) if row["highest"] is not None else 0

    async def recommending(self, product_id: int) -> list[int]:
        """The products on whose pages this one may stand as liked by others: those of its category, once it has been
        reviewed. One statement."""
        async with self._database.reading() as ask:
            return [row["id"] for row in await ask(_RECOMMENDING, product_id, product_id, product_id)]

    async def create(self, product_id: int, product: dict[str, Any], *, day: int) -> bytes | None:
        """A new product, committed; None if it exists. `product`: the other columns. Two statements."""
        columns = (product[name] for name in ("name", "category", "description", "price_cents"))
        async with self._database.writing() as ask:
            if not await ask(_CREATE, product_id, *columns):
                return None
            await ask(_NOTE_PRICE, product_id, product["price_cents"], day)
        return _json({"id": product_id, **product})

    async def delete(self, product_id: int) -> bool:
        """Remove a product with its price history and its reviews, and commit; False where there is none. Three
        statements."""
        async with self._database.writing() as ask:
            await ask("DELETE FROM price_changes WHERE product_id = ?", product_id)
            await ask("DELETE FROM reviews WHERE product_id = ?", product_id)
            return bool(await ask("DELETE FROM products WHERE id = ? RETURNING id", product_id))

    async def set_price(self, product_id: int, price_cents: int, *, day: int) -> bytes | None:
        """Set one price and commit; None if there is no such product. Two statements."""
        async with self._database.writing() as ask:
            # The update comes first, so that the transaction starts as a writer and never has to become one.
            products = await ask(_SET_PRICE, price_cents, product_id)
            if not products:
                return None
            await ask(_NOTE_PRICE, product_id, price_cents, day)
        return _json(products[0])

    async def set_prices(self, prices: Sequence[tuple[int, int]], *, day: int) -> list[int]:
        """Set many prices (product, cents) in one transaction; returns the existing products."""
        changed = []
        async with self._database.writing() as ask:
            for product_id, price_cents in prices:
                if await ask(_SET_PRICE, price_cents, product_id):
                    changed.append(product_id)
                    await ask(_NOTE_PRICE, product_id, price_cents, day)
        return changed


def list_page_of(product_id: int) -> int:
    """The page of the list that has a product."""
    return (product_id - 1) // PAGE_SIZE + 1


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
