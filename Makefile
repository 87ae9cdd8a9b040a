# bclua: find repeated calls in recordings and learn an embedding of them.
#
#   make            build build/bclua; names what is missing, never installs
#   make demo       install what is missing, build, run the pipeline on sample data
#   make test       install what is missing, build, run every spec
#   make check      luacheck, arrows (doc/architecture.md), warnings as errors, scripts of pages by node if it is there
#   make asan       every spec under address and undefined-behaviour sanitizers
#   make tsan       every spec under the thread sanitizer: data races
#   make stress     two pipelines in one folder, commands broken off and killed, for minutes
#   make fuzz       libFuzzer over what reads files, and seams, for a minute (FUZZ_S=60)
#   make seams      every C function with wrong arguments, under sanitizers (FUZZ_CALLS=1000000, FUZZ_S)
#   make bench      the benchmarks under scripts/bench
#   make doc        the reference of all functions, by LDoc: build/doc/index.html
#   make deps       install what is missing (asks for root only if something is)
#   make install    copy to PREFIX (/usr/local); DESTDIR is honoured
#   make clean      remove what was built; the DuckDB library stays
#   make distclean  remove build/ altogether
#   make help       this list
#
# Variables: B=build folder, CC, CFLAGS, PREFIX, DUCKDB_LIB=/path/libduckdb.so, TRIALS, SEED,
# SPEC=spec/array_spec.lua (one spec only), JOBS=2 (files compiled, and specs run, at a time).

B       ?= build
CC      ?= cc
CFLAGS  ?= -O3 -g
PREFIX  ?= /usr/local
SPEC    ?= spec
JOBS    ?= 1
VERSION := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo unknown)

PKGS    := lua5.4 sndfile vorbisfile libmpg123 soxr fftw3 fftw3f openblas
# Only for its header: the library is opened when it is needed (csrc/http/server.c).
OPENED  := libmicrohttpd
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wundef
# No -ffast-math: profiles rely on INFINITY and NaN. No contraction: the AVX2
# and AVX-512 clones of a kernel must give what the plain one gives.
BASE    := -std=gnu11 -D_GNU_SOURCE -pthread -fPIC -fvisibility=hidden -fno-math-errno \
           -ffp-contract=off $(WARN) $(EXTRA)
INCLUDE  = $(filter-out -D_XOPEN_SOURCE=% -D_DEFAULT_SOURCE,$(shell pkg-config --cflags $(PKGS) $(OPENED)))
# nodelete: worker states come and go, caches and their memory stay.
LIBS     = -Wl,-z,nodelete $(shell pkg-config --libs sndfile vorbisfile libmpg123 soxr fftw3 fftw3f openblas) -ldl -lm -pthread

SOURCES := $(wildcard csrc/*/*.c csrc/*/*/*.c)
# What a network computes is compiled in float and, with NN_DOUBLE, in double (csrc/nn/op/real.h).
REAL    := $(wildcard csrc/nn/op/*.c)
MODULE  := $(patsubst %.c,$B/obj/%.o,$(filter-out csrc/host/%,$(SOURCES))) $(patsubst %.c,$B/obj/%.f64.o,$(REAL))
HOST    := $(patsubst %.c,$B/obj/%.o,$(wildcard csrc/host/*.c)) $B/obj/csrc/support/interrupt.o $B/obj/csrc/support/version.o
RUN      = $B/bclua

.PHONY: all build deps deps-check demo test check asan tsan stress bench doc install clean distclean help module fuzz seams FORCE

all: deps-check
	@$(MAKE) --no-print-directory build

build: $B/bclua $B/bclua.so $B/libduckdb.so $B/help.lua $B/bclua.bash $B/_bclua

help:
	@sed -n '/^#   make/s/^#   //p' Makefile

deps-check:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh check $B

deps:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh install $B

$B/libduckdb.so:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh duckdb $B

$B/bclua.so: $(MODULE)
	@echo LINK $@
	@$(CC) $(CFLAGS) $(EXTRA) -shared -o $@.new $(MODULE) $(LDFLAGS) $(LIBS) && mv $@.new $@

# Linked aside and renamed: a program that runs keeps the file it has mapped.
# The host links Lua and readline only: every other library comes with the
# first `require`, so that `bclua -e ''` starts at once.
$B/bclua: $(HOST)
	@echo LINK $@
	@$(CC) $(CFLAGS) $(EXTRA) -rdynamic -o $@.new $(HOST) $(LDFLAGS) $(shell pkg-config --libs lua5.4) -lreadline -ldl -pthread && mv $@.new $@

# What :help shows, out of the doc comments.
DOCUMENTED := $(sort $(wildcard csrc/*/lua_*.c)) $(sort $(wildcard lua/bclua/*.lua lua/bclua/*/*.lua))
$B/help.lua: $(DOCUMENTED) rocks/help.lua | $B/bclua $B/bclua.so $B/libduckdb.so
	@echo HELP $@
	@ASAN_OPTIONS=detect_leaks=0 $B/bclua rocks/help.lua $@ $(DOCUMENTED)

# What shells complete, out of the options of the scripts.
SCRIPTS := $(sort $(wildcard scripts/*.lua))
$B/bclua.bash $B/_bclua: $(SCRIPTS) rocks/completion.lua $B/help.lua
	@echo COMPLETION $@
	@ASAN_OPTIONS=detect_leaks=0 $B/bclua rocks/completion.lua $(if $(filter %.bash,$@),bash,zsh) $@ $(SCRIPTS)

$B/obj/csrc/%.o: csrc/%.c Makefile
	@echo CC $<
	@mkdir -p $(@D)
	@$(CC) $(BASE) $(INCLUDE) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/obj/csrc/nn/op/%.f64.o: csrc/nn/op/%.c Makefile
	@echo CC $< in double
	@mkdir -p $(@D)
	@$(CC) $(BASE) $(INCLUDE) $(CPPFLAGS) $(CFLAGS) -DNN_DOUBLE -MMD -MP -c -o $@ $<

# The version changes with every commit; only one file knows it.
$B/obj/csrc/support/version.o: CPPFLAGS += -DBCLUA_VERSION='"$(VERSION)"'
$B/obj/csrc/support/version.o: $B/version
$B/version: FORCE
	@mkdir -p $B
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
FORCE:

# Built and run JOBS at a time.
BUILD = $(MAKE) --no-print-directory $(if $(filter-out 1,$(JOBS)),-j$(JOBS))
SPECS = spec/run.lua --jobs=$(JOBS) $(SPEC)

test: deps
	@+$(BUILD) build
	@$(RUN) $(SPECS)

demo:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh run $B
	@$(MAKE) --no-print-directory build
	@$(RUN) scripts/pipeline.lua

bench: all
	@for f in scripts/bench/*.lua; do echo "== $$f"; $(RUN) $$f || exit 1; done

# Where `check` compiles; in a fresh clone CHECKED=build spares `make test` to compile again.
CHECKED ?= $B/check
check: deps
	@luacheck --quiet lua rocks scripts spec
	@! command -v node >/dev/null || for f in lua/bclua/web/*.js; do node --check $$f || exit 1; done
	@lua5.4 rocks/arrows.lua
	@+$(BUILD) B=$(CHECKED) EXTRA=-Werror $(CHECKED)/bclua $(CHECKED)/bclua.so
	@echo check: ok

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# intercept_tls_get_addr: up to GCC 13 the runtime takes what lies before a block of
# dynamic TLS for its address and length when the block begins 16 bytes into a page;
# the leak check then reads there and dies ("Tracer caught signal 11"). glibc 2.25 and
# later have nothing there to be read.
asan: deps
	@+$(BUILD) B=$B/asan CFLAGS='-O1 -g' EXTRA='$(ASAN)' build
	@ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:intercept_tls_get_addr=0:$(ASAN_OPTIONS) UBSAN_OPTIONS=print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=spec/lsan.supp:print_suppressions=0 \
	  BCLUA_SANITIZED=1 $B/asan/bclua $(SPECS)

tsan: deps
	@+$(BUILD) B=$B/tsan CFLAGS='-O1 -g' EXTRA='-fsanitize=thread -fno-omit-frame-pointer' build
	@TSAN_OPTIONS=suppressions=$(CURDIR)/spec/tsan.supp BCLUA_SANITIZED=1 $B/tsan/bclua $(SPECS)

# TRIALS of each; a failure repeats, more or less, with the same SEED.
TRIALS ?= 10
SEED   ?= 1
stress: build
	@$(RUN) spec/stress/processes.lua $(TRIALS) $(SEED)

# libFuzzer over what reads files of others: from decoder to profile, npy arrays,
# safetensors. What it finds lies in $B/fuzz as crash-*, leak-* or timeout-*; the corpus
# of each target stays. Then the seams. FUZZ_S seconds, a fourth for each.
FUZZ_S  ?= 60
FUZZ     = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TARGETS := pipeline npy safetensors
kernels  = $(filter-out $(wildcard csrc/*/lua_*),$(wildcard $(patsubst %,csrc/%/*.c,$1)))
fuzzed   = $(patsubst %.c,$B/fuzz/obj/%.o,spec/fuzz/$1.c $2)
FUZZ_pipeline    := $(call fuzzed,pipeline,$(call kernels,support process audio spectral cens stomp))
FUZZ_npy         := $(call fuzzed,npy,$(call kernels,support array))
FUZZ_safetensors := $(call fuzzed,safetensors,$(wildcard csrc/array/*.c) $(call kernels,support) \
                      csrc/support/lua_support.c csrc/format/safetensors.c csrc/format/lua_safetensors.c)
# What a Lua state holds grows and falls between inputs: a check for leaks after each takes all the time.
FLAGS_safetensors := -detect_leaks=0
FUZZED   := $(sort $(foreach t,$(TARGETS),$(FUZZ_$t)))
FUZZING  = ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 LUA_PATH='lua/?.lua;;' \
             LSAN_OPTIONS=suppressions=spec/fuzz/lsan.supp:print_suppressions=0
fuzz: deps-check
	@echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return 0; }' | \
	  clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null || \
	  { echo 'fuzz: libFuzzer is missing: apt-get install --no-install-recommends clang libclang-rt-dev'; exit 1; }
	@$(MAKE) --no-print-directory build $(TARGETS:%=$B/fuzz/%)
	@$(RUN) spec/fuzz/seeds.lua $B/fuzz/seeds
	@$(foreach t,$(TARGETS),mkdir -p $B/fuzz/corpus/$t && echo "== $t" && \
	  $(FUZZING) $B/fuzz/$t -max_total_time=$$(($(FUZZ_S) / 4)) -max_len=20000 -timeout=20 \
	    $(FLAGS_$t) -rss_limit_mb=2048 -artifact_prefix=$B/fuzz/ -verbosity=0 $B/fuzz/corpus/$t $B/fuzz/seeds/$t &&) true
	@echo "== seams"
	@$(MAKE) --no-print-directory seams FUZZ_S=$$(($(FUZZ_S) / 4))
	@echo 'fuzz: ok'

# Calls of every function and method of the C modules: FUZZ_CALLS, or as many as FUZZ_S
# seconds give. FUZZ_SEED=N repeats what N found. More than a gigabyte at once is refused,
# as by a machine that is full.
FUZZ_CALLS ?= 1000000
FUZZ_SEED  ?= $(shell date +%s)
FUZZ_JOBS  ?= 1
SEAMS := detect_leaks=1:allocator_may_return_null=1:max_allocation_size_mb=1024:hard_rss_limit_mb=4000
seams: deps-check
	@$(MAKE) --no-print-directory B=$B/asan CFLAGS='-O1 -g' EXTRA='$(ASAN)' build
	@ASAN_OPTIONS=$(SEAMS):quarantine_size_mb=32:intercept_tls_get_addr=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/spec/lsan.supp:print_suppressions=0 BCLUA_SANITIZED=1 BCLUA_PLAYER=true \
	  $B/asan/bclua spec/fuzz/seams.lua $B/asan/seams $(FUZZ_CALLS) $(FUZZ_S) $(FUZZ_SEED) $(FUZZ_JOBS)

# Lua's own libraries see the symbols of the program, as in the host.
$(TARGETS:%=$B/fuzz/%): $B/fuzz/%: $(FUZZED)
	@echo LINK $@
	@clang -fsanitize=fuzzer,address,undefined -pthread -rdynamic -o $@ $(FUZZ_$*) \
	  $(shell pkg-config --libs $(PKGS)) -ldl -lm

$B/fuzz/obj/%.o: %.c Makefile
	@echo CC $<
	@mkdir -p $(@D)
	@clang $(BASE) $(INCLUDE) -DBCLUA_VERSION='"fuzz"' -O1 -g $(FUZZ) -MMD -MP -c -o $@ $<

# LDoc reads what :help shows, and says nothing unless something is wrong.
doc: all
	@command -v ldoc >/dev/null || \
	  { echo 'doc: LDoc is missing: apt-get install --no-install-recommends lua-ldoc lua-markdown'; exit 1; }
	@rm -rf $B/reference $B/doc
	@$(RUN) rocks/reference.lua $B/help.lua $B/reference
	@HOME="$${HOME:-/}" ldoc -c doc/config.ld -d $(abspath $B/doc) $(abspath $B/reference) >$B/doc.log 2>&1 && \
	  ! grep -v -e '^reading ' -e '^output ' -e '^format: ' $B/doc.log || { cat $B/doc.log; echo 'doc: LDoc complains'; exit 1; }
	@! grep -q 'falling back to text' $B/doc.log || \
	  echo 'doc: lists stay plain text without: apt-get install --no-install-recommends lua-markdown'
	@echo DOC $B/doc/index.html

install: all
	@sh rocks/install.sh $B '$(DESTDIR)$(PREFIX)'

# Not the library: it was fetched, not built.
clean:
	@if [ -d $B ]; then find $B -mindepth 1 -maxdepth 1 ! -name 'libduckdb.so*' -exec rm -rf {} +; fi

distclean:
	rm -rf $B

-include $(MODULE:.o=.d) $(HOST:.o=.d) $(FUZZED:.o=.d)
