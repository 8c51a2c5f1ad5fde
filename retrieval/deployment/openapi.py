"""The OpenAPI 3.1 description of the service."""

from typing import Any

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp",
               "application/octet-stream")  # fmt: skip
PROBLEMS = {
    400: "No image, or a form that cannot be read.",
    403: "Sent by a page of another site.",
    408: "The request took too long to arrive.",
    413: "Too many bytes, images or pixels.",
    415: "No image of a known kind.",
    422: "An image that cannot be decoded, or a parameter out of range.",
    500: "A failure inside.",
    503: "Busy or ending; try again after the seconds of Retry-After.",
}


def description(most_k: int, most_bytes: int, most_images: int, most_text: int) -> dict[str, Any]:
    """Return the description as JSON has it.

    Args:
        most_k: Most neighbors of a search.
        most_bytes: Most bytes of a request.
        most_images: Most images of a request.
        most_text: Most characters of a text.
    """
    k = {
        "name": "k",
        "in": "query",
        "description": "Number of neighbors.",
        "schema": {"type": "integer", "minimum": 1, "maximum": most_k, "default": 10},
    }
    text = {
        "name": "text",
        "in": "query",
        "required": True,
        "description": "What to search for.",
        "schema": {"type": "string", "minLength": 1, "maxLength": most_text},
    }
    limit = f"At most {most_bytes / 2**20:g} MiB in all."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image retrieval",
            "version": "1",
            "description": "Embeds images with a trained network and searches a gallery by them.",
        },
        "paths": {
            "/embed": {
                "post": {
                    "operationId": "embed",
                    "summary": "Embed one image or several.",
                    "requestBody": _body(f"{limit} In a form, at most {most_images} files."),
                    "responses": _responses("Embeddings", PROBLEMS),
                }
            },
            "/search": {
                "get": {
                    "operationId": "searchByText",
                    "summary": "Find the items of the gallery that are nearest to a text, if the "
                    "run's images lie beside texts (CLIP, SigLIP).",
                    "parameters": [text, k],
                    "responses": _responses(
                        "Neighbors",
                        {code: PROBLEMS[code] for code in (403, 500, 503)}
                        | {404: "The service has no gallery.", 405: "No text.",
                           422: "No search by text with this run, and why; or a parameter out of "
                           "range."},
                    ),
                },
                "post": {
                    "operationId": "search",
                    "summary": "Find the items of the gallery that are nearest to an image.",
                    "parameters": [k],
                    "requestBody": _body(f"{limit} One image."),
                    "responses": _responses(
                        "Neighbors", PROBLEMS | {404: "The service has no gallery."}
                    ),
                }
            },
            "/thumbnails/{row}": {
                "get": {
                    "operationId": "thumbnail",
                    "summary": "A small picture of an item of the gallery.",
                    "parameters": [{
                        "name": "row", "in": "path", "required": True,
                        "schema": {"type": "integer", "minimum": 0},
                    }],
                    "responses": {
                        "200": {"description": "WebP, at most 128 px.",
                                "content": {"image/webp": {}}},
                        "404": _problem("There is no picture of it."),
                    },
                }
            },
            "/health": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether the service takes requests, and how busy it is.",
                    "responses": {
                        "200": _answer("It does.", "Health"),
                        "503": _answer("It is ending.", "Health"),
                    },
                }
            },
        },
        "components": {"schemas": _schemas()},
    }  # fmt: skip


def _body(limit: str) -> dict[str, Any]:
    form = {
        "type": "object",
        "additionalProperties": {
            "oneOf": [
                {"type": "string", "contentMediaType": "application/octet-stream"},
                {
                    "type": "array",
                    "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                },
            ]
        },
    }
    content: dict[str, Any] = {kind: {} for kind in IMAGE_TYPES}
    content["multipart/form-data"] = {"schema": form}
    return {"required": True, "description": limit, "content": content}


def _responses(schema: str, problems: dict[int, str]) -> dict[str, Any]:
    found = {"200": _answer("Found.", schema)}
    for status, words in sorted(problems.items()):
        found[str(status)] = _problem(words)
    found["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return found


def _answer(words: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": words, "content": {"application/json": {"schema": reference}}}


def _problem(words: str) -> dict[str, Any]:
    return _answer(words, "Problem")


def _schemas() -> dict[str, Any]:
    number, text, whole = {"type": "number"}, {"type": "string"}, {"type": "integer"}
    maybe_text = {"type": ["string", "null"]}
    neighbor = _object(
        rank=whole | {"minimum": 1},
        row=whole | {"minimum": 0, "description": "Row of the item in the gallery."},
        similarity=number | {"description": "Cosine, or the negative distance."},
        label=maybe_text,
        path=maybe_text,
        thumbnail=text | {"description": "Path of its picture, which may not be there."},
        metadata={
            "type": "object",
            "description": "All other columns of the item.",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        facts={
            "type": "array",
            "description": "Path and metadata as people read them; a web address has a url.",
            "items": _object(name=text, text=text, url=text),
        },
    )
    vector = {"type": "array", "items": number}
    gallery = _object(
        items=whole, distance=text, search={"enum": ["exact", "index"]}, index=text, note=text
    )
    return {
        "Embeddings": _object(embeddings={"type": "array", "items": vector}, width=whole),
        "Neighbors": _object(
            neighbors={"type": "array", "items": neighbor},
            warnings={"type": "array", "items": text},
        ),
        "Health": _object(
            status={"enum": ["ok", "ending"]},
            run=text,
            step={"type": ["integer", "null"]},
            width=whole,
            gallery={"oneOf": [{"type": "null"}, gallery]},
            in_work=whole,
            waiting_images=whole,
            batches=whole,
            embedded_images=whole,
            answers={"type": "object", "additionalProperties": whole},
        ),
        "Problem": _object(error=text | {"description": "What is wrong, in one line."}),
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
