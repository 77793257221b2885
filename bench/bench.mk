# The programs of `make bench`: the load generator and the peers. Included by the Makefile, whose flags and objects of
# base/ they use; bench/run runs them.

BENCH_OBJ     = $(addprefix $(BUILD)/obj/base/,buf.o check.o clock.o err.o mem.o str.o)
BENCH_HEADERS = $(wildcard bench/*.h src/base/*.h) bench/bench.mk
BENCH_LINK    = $(CC) $(CFLAGS) -Ibench -o $@ $(filter %.c %.o,$^) -lpthread

BENCH = $(BUILD)/loadgen $(BUILD)/bench/bare $(BUILD)/bench/pg $(BUILD)/bench/query

bench-programs: $(BENCH) ## load generator and peers of `make bench`

$(BUILD)/loadgen: tools/loadgen.c bench/client.c bench/check.c bench/work.c $(BENCH_OBJ) $(BENCH_HEADERS)
	@echo "  link   $@"
	@$(BENCH_LINK) -ljansson

$(BUILD)/bench/bare: bench/bare.c bench/work.c $(BENCH_OBJ) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(BENCH_LINK) -lmicrohttpd -ljansson

$(BUILD)/bench/pg: bench/pg.c bench/work.c $(BENCH_OBJ) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(BENCH_LINK) -isystem $(shell pg_config --includedir) -lpq

# Times the executor alone over a chunk in memory: build/bench/query
$(BUILD)/bench/query: bench/query_bench.c $(BUILD)/libsightglass.a
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-programs
