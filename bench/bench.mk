# The programs of `make bench`: the load generator and the peers. Included by the Makefile, whose flags and objects of
# base/ they use; bench/run runs them.

BENCH_OBJ     = $(addprefix $(BUILD)/obj/base/,buf.o check.o clock.o err.o mem.o str.o)
BENCH_HEADERS = $(wildcard bench/*.h src/base/*.h) bench/bench.mk
BENCH_LINK    = $(CC) $(CFLAGS) -Ibench -o $@ $(filter %.c %.o,$^) -lpthread
BENCH_WORK    = bench/args.c bench/data.c bench/options.c bench/tally.c bench/work.c
BENCH_CLIENT  = $(addprefix bench/,ask.c check.c client.c client_json.c drive.c lines.c load.c truth.c)

BENCH = $(BUILD)/loadgen $(BUILD)/bench/bare $(BUILD)/bench/pg bench/duckdb/node_modules/.installed

bench-programs: $(BENCH) ## load generator and peers of `make bench`

$(BUILD)/loadgen: tools/loadgen.c $(BENCH_CLIENT) $(BENCH_WORK) $(BENCH_OBJ) $(BENCH_HEADERS)
	@echo "  link   $@"
	@$(BENCH_LINK) -ljansson

$(BUILD)/bench/bare: bench/bare.c $(BENCH_WORK) $(BENCH_OBJ) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(BENCH_LINK) -lmicrohttpd -ljansson

$(BUILD)/bench/pg: bench/pg.c bench/pg_load.c bench/lines.c $(BENCH_WORK) $(BENCH_OBJ) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(BENCH_LINK) -isystem $(shell pg_config --includedir) -lpq

# DuckDB comes in an npm package, pinned by the lock file, its install scripts off. Not by `npm ci`: that wants other
# machines' parts in the lock file too, and not every registry has those.
bench/duckdb/node_modules/.installed: bench/duckdb/package-lock.json
	@echo "  npm    bench/duckdb (70 MB, once)"
	@npm install --no-save --prefix bench/duckdb --ignore-scripts --no-audit --no-fund --no-progress >/dev/null
	@touch $@

.PHONY: bench-programs
