# The simulated fleet, build/fleet. Included by the Makefile after bench.mk, whose parts it shares: what drives
# connections, reads answers and draws numbers.

FLEET_SRC = $(wildcard tools/fleet/*.c) $(addprefix bench/,args.c client.c client_json.c data.c drive.c tally.c)

$(BUILD)/fleet: $(FLEET_SRC) $(BENCH_OBJ) $(BENCH_HEADERS) $(wildcard tools/fleet/*.h) tools/fleet/fleet.mk
	@echo "  link   $@"
	@$(CC) $(CFLAGS) -Ibench -o $@ $(filter %.c %.o,$^) -ljansson -lsodium -lm -lpthread
