# Every seed of every fuzz entry once, as a test: `make fuzz-replay`. The entries themselves are built and run by the
# Makefile (`make fuzz`).

fuzz-replay: ## each seed of the fuzz entries once, with clang
	@tools/deps build test
	@$(MAKE) --no-print-directory CC=clang SAN=address,undefined,fuzzer-no-link fuzz-replay-run

fuzz-replay-run: $(FUZZ)
	@tests/fuzz/replay $^

.PHONY: fuzz-replay fuzz-replay-run
