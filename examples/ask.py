import peernet
import trio


async def main() -> None:
    async with peernet.open_client() as client:
        reply = client.chat([{"role": "user", "content": "Write a short greeting to John Smith."}])
        async for text in reply:
            print(text, end="", flush=True)
        print(f"\n{reply.result.exposure.largest_share:.0%} of the words reached one host.")


trio.run(main)
