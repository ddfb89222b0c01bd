"""What the shop asks its database: product pages, lists, and updates of prices and of the range."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from luckyhit.demo.database import PriceChange, Product, Review

PAGE_SIZE = 40


class Catalogue:
    """The queries. Pages come as the JSON that is sent (and cached); prices are in cents."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def product_page(self, product_id: int) -> bytes | None:
        """One product with its price history, its stars and what else people liked; None if there is none.

        Three statements. The second and third read whole tables: this is what the cache is for.
        """
        async with self._engine.connect() as connection:
            product = (
                await connection.execute(
                    select(Product.id, Product.name, Product.category, Product.description, Product.price_cents).where(
                        Product.id == product_id
                    )
                )
            ).one_or_none()
            if product is None:
                return None
            history = (
                await connection.execute(
                    select(
                        func.min(PriceChange.price_cents).label("lowest_cents"),
                        func.max(PriceChange.price_cents).label("highest_cents"),
                        func.count().label("price_changes"),
                        select(func.round(func.avg(Review.stars), 2))
                        .where(Review.product_id == product_id)
                        .scalar_subquery()
                        .label("stars"),
                    ).where(PriceChange.product_id == product_id)
                )
            ).one()
            others = (
                await connection.execute(
                    select(Product.id, Product.name)
                    .join_from(Review, Product, Product.id == Review.product_id)
                    .where(Product.category == product.category, Product.id != product_id)
                    .group_by(Product.id)
                    .order_by(func.avg(Review.stars).desc(), func.count().desc(), Product.id)
                    .limit(6)
                )
            ).all()
        return _json(
            {
                **product._mapping,
                **history._mapping,
                "others_liked": [dict(other._mapping) for other in others],
            }
        )

    async def list_page(self, page: int) -> bytes | None:
        """One page of the list, by product number; None where no product stands on it. Two statements."""
        async with self._engine.connect() as connection:
            rows = (
                await connection.execute(
                    select(Product.id, Product.name, Product.price_cents)
                    .where(Product.id > (page - 1) * PAGE_SIZE, Product.id <= page * PAGE_SIZE)
                    .order_by(Product.id)
                )
            ).all()
            if not rows:
                return None
            total = await connection.scalar(select(func.count()).select_from(Product))
        return _json({"page": page, "total": total, "items": [dict(row._mapping) for row in rows]})

    async def last_list_page(self) -> int:
        """The last page of the list, 0 where there are no products. One statement."""
        async with self._engine.connect() as connection:
            highest = await connection.scalar(select(func.max(Product.id)))
        return list_page_of(highest) if highest is not None else 0

    async def recommending(self, product_id: int) -> list[int]:
        """The products on whose pages this one may stand as liked by others: those of its category, once it has been
        reviewed. One statement."""
        category = select(Product.category).where(Product.id == product_id).scalar_subquery()
        async with self._engine.connect() as connection:
            found = await connection.scalars(
                select(Product.id).where(
                    Product.category == category,
                    Product.id != product_id,
                    select(Review.id).where(Review.product_id == product_id).exists(),
                )
            )
            return list(found)

    async def create(self, product_id: int, product: dict[str, Any], *, day: int) -> bytes | None:
        """A new product, committed; None where there is one already. `product`: the other columns. Two statements."""
        async with self._engine.begin() as connection:
            added = await connection.scalar(
                insert(Product).values(id=product_id, **product).on_conflict_do_nothing().returning(Product.id)
            )
            if added is None:
                return None
            await connection.execute(
                insert(PriceChange).values(product_id=product_id, price_cents=product["price_cents"], day=day)
            )
        return _json({"id": product_id, **product})

    async def delete(self, product_id: int) -> bool:
        """Remove a product with its price history and its reviews, and commit; False where there is none. Three
        statements."""
        async with self._engine.begin() as connection:
            for part in (PriceChange, Review):
                await connection.execute(delete(part).where(part.product_id == product_id))
            done = await connection.execute(delete(Product).where(Product.id == product_id))
        return done.rowcount > 0

    async def set_price(self, product_id: int, price_cents: int, *, day: int) -> bytes | None:
        """Set one price and commit; None if there is no such product. Two statements."""
        async with self._engine.begin() as connection:
            # The update comes first, so that the transaction starts as a writer and never has to become one.
            product = (
                await connection.execute(
                    update(Product)
                    .where(Product.id == product_id)
                    .values(price_cents=price_cents)
                    .returning(Product.id, Product.name, Product.price_cents)
                )
            ).one_or_none()
            if product is None:
                return None
            await connection.execute(
                insert(PriceChange).values(product_id=product_id, price_cents=price_cents, day=day)
            )
        return _json(dict(product._mapping))

    async def set_prices(self, prices: Sequence[tuple[int, int]], *, day: int) -> list[int]:
        """Set many prices (product, cents) in one transaction; the products that there were."""
        changed = []
        async with self._engine.begin() as connection:
            for product_id, price_cents in prices:
                done = await connection.execute(
                    update(Product).where(Product.id == product_id).values(price_cents=price_cents)
                )
                if done.rowcount:
                    changed.append(product_id)
                    await connection.execute(
                        insert(PriceChange).values(product_id=product_id, price_cents=price_cents, day=day)
                    )
        return changed


def list_page_of(product_id: int) -> int:
    """The page of the list that a product stands on."""
    return (product_id - 1) // PAGE_SIZE + 1


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
