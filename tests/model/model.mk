# The model checker and the proof that it finds what it is there for. Included by the Makefile.

# In the place of base/io's syncs and of the resolver's look-up stand the checker's own: writes in the middle of a step.
MODEL_LINK := -Wl,--wrap=io_sync -Wl,--wrap=io_sync_dir -Wl,--wrap=view_find -Wl,--wrap=log_event
MODEL_SRC  := $(wildcard tests/model/*.c) tests/crash/io_sim.c tests/unit/scratch.c
MODEL_OBJ  := $(MODEL_SRC:tests/%.c=$(BUILD)/model/%.o)
MODEL_LIBS := -lsodium -ljansson -lz -lpthread -lm
MODEL      := $(BUILD)/tests/model

$(BUILD)/model/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -Itests/model -Itests/crash -Itests/unit -MMD -MP -c -o $@ $<

$(MODEL): $(MODEL_OBJ) $(BUILD)/libsightglass.a
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) $(SANITIZE) $(MODEL_LINK) -o $@ $^ $(MODEL_LIBS)

-include $(MODEL_OBJ:.o=.d)

test-model: $(MODEL) ## random sequences against the store and a naive model; seeded bugs must be found
	@$(MODEL)
	@CC="$(CC)" CFLAGS="$(filter-out -DSIGHTGLASS_VERSION%,$(CFLAGS))" LINK="$(SANITIZE) $(MODEL_LINK)" \
	  LIBS="$(BUILD)/libsightglass.a $(MODEL_LIBS)" $(PYTHON) tests/model/seeded.py $(MODEL_OBJ)

SOAK_SEQUENCES ?= 2000

soak-model: $(MODEL) ## the same for minutes: SOAK_SEQUENCES=2000
	@$(MODEL) --sequences $(SOAK_SEQUENCES) --steps 600 --first 1000000

model-asan: $(MODEL) # too few sequences to meet everything
	@$(MODEL) --quick --sequences 20

.PHONY: test-model soak-model model-asan
