"""Recipes: Flask on gunicorn threads, Flask-Caching on Redis. A save removes what the cache holds of the recipe."""

from typing import Any

from flask import Flask, abort, request
from flask_caching import Cache

from sick import base

ON_SAVE = base.choice("ON_SAVE", "clear", "delete")
TTL_S = base.number("RECIPE_TTL_S", 180)
recipes = base.Table("recipes")
app = Flask(__name__)
cache = Cache(
    app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": base.REDIS_URL, "CACHE_KEY_PREFIX": "kitchen_"}
)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


@app.get("/api/recipes/<int:recipe>")
def read(recipe: int) -> dict[str, Any]:
    if (entry := cache.get(f"recipe.{recipe}")) is not None:
        base.say("HIT")
        return entry
    base.say("MISS")
    if (version := recipes.load(recipe)) is None:
        abort(404)
    entry = {"recipe": {"id": recipe, "steps": recipe % 9 + 1}, "version": version}
    cache.set(f"recipe.{recipe}", entry, timeout=int(TTL_S))
    return entry


@app.put("/api/recipes/<int:recipe>")
def write(recipe: int) -> dict[str, Any]:
    version = int(request.get_json()["version"])
    recipes.save(recipe, version)
    if ON_SAVE == "clear":
        cache.clear()
    else:
        cache.delete(f"recipe.{recipe}")
    return {"id": recipe, "version": version}


application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.over_invalidation.service")
