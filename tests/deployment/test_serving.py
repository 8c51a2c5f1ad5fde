"""The service: what it answers, what it refuses and how, and that no request is lost."""

import asyncio
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient

from retrieval import embed_to_file, load_embedder
from retrieval.deployment.batching import Batcher, Closed, Full, Room
from retrieval.deployment.gallery import open_gallery
from retrieval.deployment.limits import Limits
from retrieval.deployment.serving import Service, make_app, open_service
from retrieval.errors import UserError

HOSTILE = '<script>alert("x")</script>\n\x1b[31m'
LIMITS = Limits(upload=200_000, images=3, pixels=10_000, k=20)


@pytest.fixture(scope="module")
def service(_finished):
    return open_service(_finished, None, None, LIMITS)


@pytest.fixture(scope="module")
def client(service):
    with TestClient(
        make_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as c:
        yield c


@pytest.fixture(scope="module")
def documents(client):
    return client.get("/openapi.json").json()


def picture(size=(20, 20), kind="PNG", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def in_own_loop(work):
    """Run a coroutine in a thread of its own: a browser of other tests has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def check_described(answer, documents):
    """Check an answer against the description of the service."""
    path = answer.request.url.path
    described = documents["paths"][path][answer.request.method.lower()]["responses"]
    schema = described[str(answer.status_code)]["content"]["application/json"]["schema"]
    whole = {"$ref": schema["$ref"], "components": documents["components"]}
    jsonschema.Draft202012Validator(whole).validate(answer.json())


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]
    return answer.json()["error"]


def test_an_image_gets_the_vector_of_the_embedder(client, service, documents):
    images = [picture(seed=1), picture((31, 50), "JPEG"), picture((9, 70), "WEBP")]
    expected = service.embedder.embed(images)
    for image, vector in zip(images, expected, strict=True):
        answer = client.post("/embed", content=image, headers={"Content-Type": "image/png"})
        assert answer.status_code == 200
        check_described(answer, documents)
        np.testing.assert_allclose(answer.json()["embeddings"], [vector], atol=1e-6)
    several = client.post("/embed", files=[("image", image) for image in images])
    check_described(several, documents)
    np.testing.assert_allclose(several.json()["embeddings"], expected, atol=1e-6)


def test_a_photo_of_the_gallery_finds_itself_first_with_all_that_is_known(
    client, run, settings, documents
):
    name = run.items["path"][7]
    content = Path(settings.data, name).read_bytes()
    answer = client.post("/search?k=5", content=content)
    check_described(answer, documents)
    found = answer.json()["neighbors"]
    assert [each["rank"] for each in found] == [1, 2, 3, 4, 5]
    assert found[0]["row"] == 7
    assert found[0]["path"] == name
    assert found[0]["label"] == run.items["label_name"][7]
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-5)
    thumbnail = client.get(found[0]["thumbnail"])
    assert thumbnail.headers["content-type"] == "image/webp"
    assert thumbnail.content == run.thumbnail(7)
    vectors = run.embeddings / np.linalg.norm(run.embeddings, axis=1, keepdims=True)
    expected = np.argsort(-(vectors @ vectors[7]), kind="stable")[:5]
    assert [each["row"] for each in found] == expected.tolist()
    assert len(client.post("/search", content=content).json()["neighbors"]) == 10


def test_a_run_without_a_text_tower_says_why_no_text_searches_it(client, documents):
    answer = client.get("/search", params={"text": "red shoes"})
    assert "has no text tower" in problem(answer, 422)
    check_described(answer, documents)
    assert "/search?text=WORDS" in problem(client.get("/search"), 405)
    assert "1 to 1,000 characters" in problem(client.get("/search", params={"text": " "}), 422)
    others = {"Sec-Fetch-Site": "cross-site"}
    problem(client.get("/search", params={"text": "red"}, headers=others), 403)


def test_a_text_finds_the_images_that_it_lies_beside(untrained):
    service = open_service(untrained, None, None, LIMITS)
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        answer = client.get("/search", params={"text": "ab", "k": 3})
        check_described(answer, client.get("/openapi.json").json())
    gallery = open_gallery(untrained)
    vectors = gallery.vectors / np.linalg.norm(gallery.vectors, axis=1, keepdims=True)
    expected = np.argsort(-(vectors @ service.embedder.embed_texts(["ab"])[0]), kind="stable")[:3]
    assert [each["row"] for each in answer.json()["neighbors"]] == expected.tolist()


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"content": b""}, 400, "empty"),
        ({"content": b"no image at all"}, 415, "send a JPEG, PNG, WebP, GIF or BMP image"),
        ({"content": picture()[:100]}, 422, "cannot be decoded"),
        ({"content": picture(kind="TIFF")}, 415, "no image that can be read"),
        ({"content": picture((101, 100))}, 413, "101 x 100 pixels"),
        ({"content": b"x" * 200_001}, 413, "more than 0.19"),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 415, "Content-Type"),
        ({"data": {"a": "b"}}, 415, "Content-Type"),
        ({"files": [("a", picture())] * 4}, 413, "at most 3 files"),
        ({"content": b"?", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        (
            {"content": b"?", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
            "form",
        ),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(client, documents, sent, status, words):
    for path in ("/embed", "/search"):
        answer = client.post(path, **sent)
        assert words in problem(answer, status)
        check_described(answer, documents)


def test_a_form_names_the_image_that_is_refused(client):
    answer = client.post("/embed", files=[("a", picture()), ("b", b"?")])
    assert problem(answer, 415).startswith("image 2: ")


def test_a_body_that_does_not_say_how_long_it_is_is_bounded_too(client, service):
    def parts():
        for _ in range(300):
            yield b"x" * 1000

    assert "more than 0.19" in problem(client.post("/embed", content=parts()), 413)
    assert service.uploads.taken == 0
    assert service.requests.taken == 0


def test_a_jpeg_may_have_twice_the_pixels(client):
    assert client.post("/embed", content=picture((199, 100), "JPEG")).status_code == 200
    problem(client.post("/embed", content=picture((201, 100), "JPEG")), 413)


@pytest.mark.parametrize("k", ["0", "21", "-1", "x", "1.5", "", "99999999999", "٣"])
def test_a_number_of_neighbors_out_of_range_is_refused(client, documents, k):
    answer = client.post("/search", params={"k": k}, content=picture())
    assert "give a whole number from 1 to 20" in problem(answer, 422)
    check_described(answer, documents)


def test_one_image_is_searched_by_at_a_time(client):
    answer = client.post("/search", files=[("a", picture()), ("b", picture())])
    assert "search by one at a time" in problem(answer, 422)


def test_other_addresses_methods_and_sites_are_refused(client):
    problem(client.get("/nope"), 404)
    problem(client.get("/embed"), 405)
    problem(client.get("/thumbnails/4096"), 404)
    problem(client.get("/thumbnails/..%2f..%2fetc"), 404)
    problem(client.get("/health", headers={"Host": "evil.example"}), 403)
    crossing = {"Sec-Fetch-Site": "cross-site"}
    problem(client.post("/embed", content=picture(), headers=crossing), 403)
    own = {"Sec-Fetch-Site": "same-origin", "Host": "localhost:8080"}
    assert client.post("/embed", content=picture(), headers=own).status_code == 200


def test_health_counts_what_was_answered(client, service, documents):
    before = client.get("/health")
    check_described(before, documents)
    assert before.json()["status"] == "ok"
    assert before.json()["gallery"]["items"] == len(service.gallery)
    client.post("/embed", content=picture())
    after = client.get("/health").json()
    assert after["embedded_images"] == before.json()["embedded_images"] + 1
    assert after["in_work"] == after["waiting_images"] == 0


def test_the_description_names_every_address_and_problem(client, documents):
    assert documents["openapi"] == "3.1.0"
    served = {route.path.replace(":int", "") for route in client.app.routes}
    assert set(documents["paths"]) == served - {"/", "/openapi.json"}
    for schema in documents["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert set(documents["paths"]["/embed"]["post"]["responses"]) == {
        "200", "400", "403", "408", "413", "415", "422", "500", "503"
    }  # fmt: skip


def test_the_page_links_web_addresses_only(client):
    page = client.get("/").text
    assert "/^https?:/i.test(fact.url)" in page
    assert "noopener noreferrer" in page


def test_the_page_loads_nothing_from_elsewhere_and_runs_its_own_script_only(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "innerHTML" not in page.text
    for answer in (page, client.get("/health"), client.get("/nope")):
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_hostile_names_and_missing_values_are_plain_json(run, tmp_path):
    items = run.items[["path"]].copy()
    items["label"], items["price"], items[HOSTILE] = HOSTILE, np.nan, HOSTILE
    items["path"] = [f"../../{HOSTILE}{row}" for row in range(len(items))]
    items["embedding"] = list(np.asarray(run.embeddings))
    items.to_parquet(tmp_path / "v.parquet")
    made = open_service(run.path, tmp_path / "v.parquet", None, LIMITS)
    assert "does not say which network" in made.warnings[0]
    with TestClient(make_app(made), base_url="http://localhost") as client:
        answer = client.post("/search?k=1", content=picture())
        found = json.loads(answer.text, parse_constant=pytest.fail)["neighbors"][0]
        assert found["label"] == HOSTILE
        assert found["metadata"] == {"price": None, HOSTILE: HOSTILE}
        assert [(fact["name"], fact["url"]) for fact in found["facts"]] == [
            ("path", ""), (HOSTILE, ""),
        ]  # fmt: skip
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        problem(client.get(found["thumbnail"]), 404)


def test_vectors_of_a_file_are_searched_and_keep_their_columns(run, settings, tmp_path):
    listed = pd.DataFrame({"path": run.items["path"][:9], "price": np.arange(9) / 4})
    listed["added"], listed["url"] = "2024-12-12", "https://shop.example/1"
    listed.to_csv(tmp_path / "list.csv", index=False)
    out = tmp_path / "v.parquet"
    embed_to_file(run.path, tmp_path / "list.csv", out, image_root=settings.data, progress=False)
    made = open_service(run.path, out, None, LIMITS)
    assert made.warnings == ()
    with TestClient(make_app(made), base_url="http://localhost") as client:
        content = Path(settings.data, run.items["path"][4]).read_bytes()
        found = client.post("/search?k=2", content=content).json()["neighbors"][0]
        assert found["metadata"]["price"] == 1.0
        assert found["metadata"]["added"] == "2024-12-12"
        assert found["facts"][1:] == [
            {"name": "price", "text": "1.00", "url": ""},
            {"name": "added", "text": "2024-12-12", "url": ""},
            {"name": "url", "text": "shop.example", "url": "https://shop.example/1"},
        ]
        assert client.get(found["thumbnail"]).headers["content-type"] == "image/webp"


def test_a_gallery_of_another_network_is_refused(run, tmp_path):
    np.save(tmp_path / "v.npy", np.eye(5, dtype=np.float32))
    with pytest.raises(UserError, match="vectors of 5 dimensions"):
        open_service(run.path, tmp_path / "v.npy", None, LIMITS)


def test_a_service_without_a_gallery_only_embeds(run):
    made = Service(load_embedder(run.path), None, limits=LIMITS)
    with TestClient(make_app(made), base_url="http://localhost") as client:
        assert "no gallery" in problem(client.post("/search", content=picture()), 404)
        assert client.post("/embed", content=picture()).status_code == 200
        assert client.get("/health").json()["gallery"] is None


def test_more_requests_than_there_is_room_for_are_refused_and_none_is_lost(run):
    made = Service(
        load_embedder(run.path), open_gallery(run.path), limits=Limits(requests=4, batch=2)
    )
    app, images = make_app(made), [picture(seed=n) for n in range(40)]
    expected = made.embedder.embed(images)

    async def send(image):
        sent, answer = iter([{"type": "http.request", "body": image, "more_body": False}]), {}

        async def receive():
            return next(sent)

        async def collect(message):
            answer.update(message)

        scope = {
            "type": "http", "method": "POST", "path": "/embed", "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"image/png")],
        }  # fmt: skip
        await app(scope, receive, collect)
        return answer["status"], dict(answer["headers"]), json.loads(answer["body"])

    async def all_at_once():
        async with app.router.lifespan_context(app):
            first = await asyncio.gather(*map(send, images))
            last = await send(images[0])
            return first, last

    answers, last = in_own_loop(all_at_once())
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 4
    for (status, headers, content), vector in zip(answers, expected, strict=True):
        if status == 200:
            np.testing.assert_allclose(content["embeddings"], [vector], atol=1e-6)
        else:
            assert headers[b"retry-after"] == b"1"
            assert "busy" in content["error"]
    assert last[0] == 200
    assert made.requests.taken == made.uploads.taken == 0
    assert made.is_ending


def run_batcher(work, embed, **options):
    async def main():
        batcher = Batcher(embed, **{"most": 4, "wait": 0.01} | options)
        batcher.start()
        try:
            return await work(batcher)
        finally:
            await batcher.close()

    return in_own_loop(main())


def test_images_of_many_requests_share_batches_and_come_back_to_their_own():
    sizes = []

    def embed(images):
        sizes.append(len(images))
        return images[:, 0, 0, :2].astype(np.float32)

    async def work(batcher):
        requests = [np.full((1 + n % 3, 2, 2, 3), n, np.uint8) for n in range(20)]
        return await asyncio.gather(*map(batcher.submit, requests))

    for n, found in enumerate(run_batcher(work, embed)):
        assert found.shape == (1 + n % 3, 2)
        assert (found == n).all()
    assert max(sizes) == 4
    assert sum(sizes) == sum(1 + n % 3 for n in range(20))
    assert len(sizes) == -(-sum(sizes) // 4)  # only the last one is not full


def test_a_failing_batch_fails_its_requests_and_no_other():
    def embed(images):
        if images.max() == 9:
            raise ValueError("nine")
        return images[:, 0, 0].astype(np.float32)

    async def work(batcher):
        good, bad = np.zeros((1, 1, 1, 3), np.uint8), np.full((1, 1, 1, 3), 9, np.uint8)
        with pytest.raises(ValueError, match="nine"):
            await batcher.submit(bad)
        return await batcher.submit(good)

    assert run_batcher(work, embed, wait=0).shape == (1, 3)


def test_what_waits_is_finished_when_the_service_ends_and_nothing_is_taken_after():
    async def work(batcher):
        waiting = [
            asyncio.create_task(batcher.submit(np.full((1, 1, 1, 3), n, np.uint8)))
            for n in range(9)
        ]
        await asyncio.sleep(0)
        await batcher.close()
        with pytest.raises(Closed):
            await batcher.submit(np.zeros((1, 1, 1, 3), np.uint8))
        return [float((await each)[0, 0]) for each in waiting]

    found = run_batcher(work, lambda images: images[:, 0, 0].astype(np.float32), wait=60)
    assert found == [float(n) for n in range(9)]


def test_a_request_that_hung_up_takes_no_place_in_a_batch():
    seen = []

    def embed(images):
        seen.append(len(images))
        return images[:, 0, 0].astype(np.float32)

    async def work(batcher):
        image = np.zeros((1, 1, 1, 3), np.uint8)
        gone, kept = (asyncio.create_task(batcher.submit(image)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await kept

    assert run_batcher(work, embed).shape == (1, 3)
    assert seen == [1]


def test_room_is_given_back_also_after_an_error():
    room = Room(2)
    with room.held(2), pytest.raises(Full):
        room.take(1)
    with pytest.raises(ValueError, match="x"), room.held(1):
        raise ValueError("x")
    assert room.taken == 0
