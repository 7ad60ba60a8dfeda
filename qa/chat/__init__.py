"""Models behind a server that speaks OpenAI's chat protocol (vLLM and others).

    endpoint.py    one question to one model: the request, who answered, what was said
    transport.py   bounded, timed, repeated requests
    hidden.py      the server's key, taken out of whatever comes back
    sight.py       pictures as they are sent
    kept.py        answers on disk, so that nothing is asked twice

What is asked and how an answer is read is up to who asks: the judge of DPG-Bench
(`suites.dpg.judges.endpoint`) and that of pairs of pictures (`qa.review.model`).
"""
