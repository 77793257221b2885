# Sightglass. `make help` lists the targets; CONTRIBUTING.md says more.
#
# Variants build into folders of their own:  make SAN=address,undefined   make SAN=thread   make CC=clang
# Without -Werror:                           make EXTRA=

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

VERSION := 0.1.0
PORT    ?= 9001
DEMO    ?= 1
PYTHON  := /usr/bin/python3
ifeq ($(origin CC),default)
CC      := gcc
endif
SAN     ?=
EXTRA   ?= -Werror

VARIANT := $(if $(filter clang%,$(notdir $(CC))),clang)$(if $(findstring address,$(SAN)),asan)$(if $(findstring thread,$(SAN)),tsan)
BUILD   := build$(if $(VARIANT),/$(VARIANT))

# --- flags ---------------------------------------------------------------------------------------------------------

LIBRARIES := libmicrohttpd jansson sqlite3 libsodium vips zlib libcurl
WARNINGS  := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
SANITIZE  := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

# Asked only when something is to be compiled: `make deps` and `make help` run before the libraries are there.
GOALS := $(if $(MAKECMDGOALS),$(MAKECMDGOALS),all)
ifneq ($(filter-out help deps test-deps bench-deps run test bench fuzz fuzz-replay clean,$(GOALS)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null || echo MISSING)
PKG_LIBS   := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null)
ifneq ($(findstring MISSING,$(PKG_CFLAGS)),)
$(error A library is missing ($(LIBRARIES)). `make deps` installs what the build needs)
endif
endif

# Hidden: no function of ours may take the place of a library's own of the same name. No contraction: sums that stand in
# files are the same to the last bit whichever processor and compiler they were made with.
CFLAGS  := -std=c17 -D_GNU_SOURCE -O2 -g -ffp-contract=off -fvisibility=hidden $(WARNINGS) $(EXTRA) $(SANITIZE) -Isrc $(PKG_CFLAGS:-I%=-isystem %) \
           -DSIGHTGLASS_VERSION='"$(VERSION)"'
LDFLAGS := $(SANITIZE)
export LSAN_OPTIONS ?= suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0
LDLIBS  := $(PKG_LIBS) -l:libonnxruntime.so.1 -lpthread -lm

# ONNX Runtime comes in an npm package; the program looks for it in lib/ beside itself or beside its variant's folder.
ORT_ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x64)
ORT_FROM := models/node_modules/onnxruntime-node/bin/napi-v6/linux/$(ORT_ARCH)/libonnxruntime.so.1
ORT      := build/lib/libonnxruntime.so.1
LDFLAGS  += -Lbuild/lib -Wl,-rpath,'$$ORIGIN/lib:$$ORIGIN/../lib:$$ORIGIN/../../lib'

# --- what is built -------------------------------------------------------------------------------------------------

LIB_SRC  := $(wildcard src/*/*.c)
LIB_OBJ  := $(LIB_SRC:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/assets.o
MAIN_OBJ := $(BUILD)/obj/main.o
TEST_SRC := $(wildcard tests/unit/test_*.c)
ifneq ($(findstring thread,$(SAN)),)
# ONNX Runtime and libvips are not built for TSan, which takes their locks for none and their speed away.
TEST_SRC := $(filter-out %/test_infer.c %/test_image.c %/test_draw.c,$(TEST_SRC))
endif
TESTS    := $(TEST_SRC:tests/unit/%.c=$(BUILD)/tests/%)
CRASH    := $(BUILD)/tests/powerloss $(BUILD)/tests/faults $(BUILD)/tests/damage
FUZZ     := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TEST_AID := $(patsubst tests/unit/%.c,$(BUILD)/tests/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))

MODEL_JSON := $(wildcard models/*/model.json)
MODELS     := $(MODEL_JSON:models/%/model.json=build/models/%/model.onnx)

all: $(BUILD)/sightglass $(BUILD)/journal-dump $(BUILD)/fleet $(MODELS) $(if $(VARIANT),$(BUILD)/models) ## build the program, build/sightglass (the default)
	@:

$(BUILD)/sightglass: $(MAIN_OBJ) $(BUILD)/libsightglass.a | $(ORT)
	@echo "  link   $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# npm parts: pinned by the lock file, no install scripts (models/.npmrc), once a lock file.
models/node_modules/.installed: models/package-lock.json
	@echo "  npm    models (about 130 MB, once)"
	@npm ci --prefix models --no-progress >/dev/null
	@touch $@

$(ORT): models/node_modules/.installed
	@mkdir -p $(@D)
	@cp $(ORT_FROM) $@

# Of which graph of the package.
coco-centernet_GRAPH     := centernet
movenet-lightning_GRAPH  := movenet-lightning

build/models/%/model.onnx: models/%/model.json models/convert.py models/node_modules/.installed
	@mkdir -p $(@D)
	@echo "  model  $@"
	@cp $< $(@D)/model.json
	@$(PYTHON) models/convert.py models/node_modules/@vladmandic/human/models/$($*_GRAPH).json $(@D)

# The dashboard: npm packages, web/dist, one object file with all of it and docs/openapi.json.
web/node_modules/.installed: web/package-lock.json
	@echo "  npm    web"
	@npm ci --prefix web --ignore-scripts --no-audit --no-fund --no-progress >/dev/null
	@touch $@

WEB_SRC := $(shell find web/src web/public -type f 2>/dev/null) $(wildcard web/index.html web/*.ts web/*.json)

build/ui/assets.S: $(WEB_SRC) docs/openapi.json web/node_modules/.installed tools/embed
	@mkdir -p $(@D)
	@echo "  web    web/dist"
	@npm run --silent build --prefix web >build/ui/log 2>&1 || { cat build/ui/log >&2; exit 1; }
	@tools/embed web/dist build/ui docs/openapi.json

$(BUILD)/obj/assets.o: build/ui/assets.S
	@mkdir -p $(@D)
	@$(CC) -c -o $@ $<

# A variant finds the models beside itself too.
$(if $(VARIANT),$(BUILD)/models): | $(BUILD)/sightglass
	@ln -sfn ../models $@

$(BUILD)/libsightglass.a: $(LIB_OBJ)
	@echo "  ar     $@"
	@rm -f $@
	@ar qcs $@ $^

# The compare loops of the executor are vectorised at -O3.
$(BUILD)/obj/query/%.o: CFLAGS += -O3

$(BUILD)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "  cc     $<"
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%.o: tests/unit/%.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -Itests/unit -MMD -MP -c -o $@ $<

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(TEST_AID) $(BUILD)/libsightglass.a | $(ORT)
	@echo "  link   $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(BUILD)/journal-dump: tools/journal-dump.c $(BUILD)/libsightglass.a | $(ORT)
	@echo "  link   $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(CRASH): $(BUILD)/tests/%: tests/crash/%.c $(wildcard tests/crash/script*.[ch] tests/crash/io_sim.[ch]) $(TEST_AID) \
          $(BUILD)/libsightglass.a | $(ORT)
	@echo "  link   $@"
	@$(CC) $(CFLAGS) -Itests/crash -Itests/unit $(LDFLAGS) -o $@ $(filter %.c %.o %.a,$^) -lcmocka $(LDLIBS)

include tests/model/model.mk

$(BUILD)/tests/segment-files: tests/open/segment_files.c $(TEST_AID) $(BUILD)/libsightglass.a | $(ORT)
	@echo "  link   $@"
	@$(CC) $(CFLAGS) -Itests/unit $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/libsightglass.a | $(ORT)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) $(CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(MAIN_OBJ:.o=.d) $(TESTS:=.d) $(TEST_AID:.o=.d)

# --- targets -------------------------------------------------------------------------------------------------------

deps: ## install what the build needs (Debian packages)
	@tools/deps build

test-deps:
	@tools/deps build test

run: ## install what is missing, build, start with a demo: make run PORT=9101 DEMO=0
	@tools/deps build
	@$(MAKE) --no-print-directory all
	@PORT=$(PORT) DEMO=$(DEMO) tools/run.sh

test: test-deps ## all tests, installing what only they need
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@$(MAKE) --no-print-directory test-unit test-model test-http test-crash test-open test-web test-models test-browser check

test-programs: all $(TESTS) $(CRASH) $(MODEL) $(BUILD)/tests/segment-files

test-unit: all $(TESTS) ## unit tests (cmocka)
	@tools/run-unit-tests $(TESTS)

HTTP ?= tests/http

test-http: all ## the running program over HTTP (pytest)
	@SIGHTGLASS_BIN=$(BUILD)/sightglass $(PYTHON) -m pytest -q -p no:cacheprovider -n $$(nproc) --dist loadfile $(HTTP)

test-crash: all $(CRASH) ## kill -9 under load; power loss and failing disks at every file operation of a fixed script
	@$(BUILD)/tests/powerloss
	@$(BUILD)/tests/powerloss --prove $$(tests/crash/sites)
	@$(BUILD)/tests/faults
	@$(BUILD)/tests/damage
	@SIGHTGLASS_BIN=$(BUILD)/sightglass $(PYTHON) -m pytest -q -p no:cacheprovider -n $$(nproc) --dist loadfile tests/crash

test-open: $(BUILD)/tests/segment-files ## segments read by npm apache-arrow
	@SEGMENT_FILES=$(BUILD)/tests/segment-files tests/open/run.sh

soak: test-deps ## what takes long: 1,000 kills, every power-loss point, thousands of random sequences; bounded, stops by itself
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@$(MAKE) --no-print-directory soak-model soak-crash

soak-crash: all $(CRASH)
	@$(BUILD)/tests/powerloss --long
	@$(BUILD)/tests/faults --long
	@$(BUILD)/tests/damage --long
	@KILLS=1000 SIGHTGLASS_BIN=$(BUILD)/sightglass $(PYTHON) -m pytest -q -p no:cacheprovider tests/crash/test_kill.py

test-web: web/node_modules/.installed ## the dashboard's own parts (vitest)
	@npm test --silent --prefix web

test-models: all ## the converted demo model against its original
	@tests/models/run.sh

test-browser: all ## the dashboard in Chromium against the running program
	@SIGHTGLASS_BIN=$(CURDIR)/$(BUILD)/sightglass tests/browser/run

check: $(BUILD)/sightglass ## includes run one way; npm packages fit Debian 12; generated documents are current
	@tools/check-includes src
	@tools/check-packages $(wildcard */package-lock.json tests/*/package-lock.json)
	@tools/docs $(BUILD)/sightglass --check

docs: $(BUILD)/sightglass ## write docs/configuration.md and docs/routes.md anew
	@tools/docs $(BUILD)/sightglass

FUZZ_SECONDS ?= 30

fuzz: ## each fuzz entry for FUZZ_SECONDS=30, with clang
	@tools/deps build test
	@$(MAKE) --no-print-directory CC=clang SAN=address,undefined,fuzzer-no-link FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-run

fuzz-run: $(FUZZ)
	@for program in $^; do tools/run-fuzz $$program $(FUZZ_SECONDS) || exit 1; done

include tests/fuzz/fuzz.mk
include bench/bench.mk
include tools/fleet/fleet.mk

bench: ## the whole table against PostgreSQL and DuckDB; writes docs/performance.md (BENCH_EVENTS=1000000 for a quick look)
	@tools/deps build bench
	@$(MAKE) --no-print-directory all bench-programs
	@bench/run

help: ## this list
	@echo "make TARGET [PORT=9001] [DEMO=0] [SAN=address,undefined | SAN=thread] [CC=clang]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

clean: ## remove what was built; ./data is never touched
	rm -rf build web/dist

.PHONY: all deps test-deps run test test-programs test-unit test-model test-open test-http test-crash test-web test-models test-browser check docs fuzz fuzz-run \
        bench soak soak-crash help clean
