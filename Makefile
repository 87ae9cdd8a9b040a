# bclua: find repeated calls in recordings and learn an embedding of them.
#
#   make            build build/bclua; names what is missing, never installs
#   make demo       install what is missing, build, run the pipeline on sample data
#   make test       install what is missing, build, run every spec
#   make check      luacheck, arrows (doc/architecture.md), warnings as errors, scripts of pages by node if it is there
#   make asan       specs of what is in C under address and undefined-behaviour sanitizers
#   make tsan       the same under the thread sanitizer: data races
#   make cluster-test  Slurm and MPI on this machine: job arrays, ranks, processes that are killed
#   make cluster-deps  install what that takes
#   make stress     two pipelines in one folder, commands broken off and killed, for minutes
#   make fuzz       libFuzzer over what reads files, and seams, for a minute (FUZZ_S=60)
#   make seams      every C function with wrong arguments, under sanitizers (FUZZ_CALLS=1000000, FUZZ_S)
#   make bench      the benchmarks under scripts/bench
#   make settings   doc/settings.md anew, when options have changed
#   make doc        the reference of all functions, by LDoc: build/doc/index.html
#   make deps       install what is missing (asks for root only if something is)
#   make onnxruntime fetch the library that computes other people's networks (97 MB)
#   make deps-check name what is missing, install nothing
#   make build      build, without looking for what is missing
#   make install    copy to PREFIX (/usr/local); DESTDIR is honoured
#   make dist       build/bclua-VERSION.tar.gz: sources, documents, DuckDB's checksum; built without git
#   make deb        build/bclua_VERSION_ARCH.deb, for the Debian that it is built on
#   make deb-test   that package on a bare Debian in a folder (debootstrap): installed, run, removed
#   make uninstall  remove from PREFIX what make install put there, and nothing else
#   make clean      remove what was built; libraries that were fetched stay
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
# The file VERSION has the number; of a checkout that is not that release's, the commit is behind it.
VERSION := $(shell sh rocks/version.sh)

# Of the last only the header: the library is opened when it is needed (csrc/http/server.c).
PKGS    := $(if $(LUA_INCDIR),,lua5.4) sndfile vorbisfile libmpg123 soxr fftw3 fftw3f openblas libmicrohttpd
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wundef
# No -ffast-math: profiles rely on INFINITY and NaN. No contraction: the AVX2
# and AVX-512 clones of a kernel must give what the plain one gives.
BASE    := -std=gnu11 -D_GNU_SOURCE -pthread -fPIC -fvisibility=hidden -fno-math-errno \
           -ffp-contract=off $(WARN) $(EXTRA)
# Asked once, when first needed. LUA_INCDIR and LIBFLAG are what luarocks says (rocks/rock.mk).
FOUND    = $(eval FOUND := $(shell pkg-config --cflags --libs $(PKGS)))$(FOUND)
INCLUDE  = $(if $(LUA_INCDIR),-I$(LUA_INCDIR)) $(filter-out -l% -L% -D_XOPEN_SOURCE=% -D_DEFAULT_SOURCE,$(FOUND))
# nodelete: worker states come and go, caches and their memory stay.
LIBS     = -Wl,-z,nodelete $(filter-out -llua% -lmicrohttpd,$(filter -l% -L%,$(FOUND))) -ldl -lm -pthread
LIBFLAG ?= -shared

SOURCES := $(wildcard csrc/*/*.c csrc/*/*/*.c)
# What a network computes is compiled in float and, with NN_DOUBLE, in double (csrc/nn/op/real.h).
REAL    := $(wildcard csrc/nn/op/*.c)
MODULE  := $(patsubst %.c,$B/obj/%.o,$(filter-out csrc/host/%,$(SOURCES))) $(patsubst %.c,$B/obj/%.f64.o,$(REAL))
HOST    := $(patsubst %.c,$B/obj/%.o,$(wildcard csrc/host/*.c)) $B/obj/csrc/support/interrupt.o $B/obj/csrc/support/version.o
RUN      = $B/bclua

.PHONY: all build deps deps-check onnxruntime demo test check stress bench install uninstall dist deb deb-test clean distclean help FORCE

all: deps-check
	@$(MAKE) --no-print-directory build

build: $B/bclua $B/bclua.so $B/libduckdb.so $B/help.lua $B/bclua.bash $B/_bclua

help:
	@sed -n '/^#   make/s/^#   //p' Makefile

deps-check:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh check $B

deps:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh install $B

onnxruntime:
	@sh rocks/onnxruntime.sh $B

$B/libduckdb.so:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh duckdb $B

$B/bclua.so: $(MODULE)
	@echo LINK $@
	@$(CC) $(CFLAGS) $(EXTRA) $(LIBFLAG) -o $@.new $(MODULE) $(LDFLAGS) $(LIBS) && mv $@.new $@

# Linked aside and renamed: a program that runs keeps the file it has mapped.
# The host links Lua and readline only: every other library comes with the
# first `require`, so that `bclua -e ''` starts at once.
$B/bclua: $(HOST)
	@echo LINK $@
	@$(CC) $(CFLAGS) $(EXTRA) -rdynamic -o $@.new $(HOST) $(LDFLAGS) $(filter -llua% -L%,$(FOUND)) -lreadline -ldl -pthread && mv $@.new $@

# What :help shows, out of the doc comments.
DOCUMENTED := $(sort $(wildcard csrc/*/lua_*.c)) $(sort $(wildcard $(patsubst %,lua/bclua/%.lua,* */* */*/*)))
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
	@echo 'demo: what is missing is installed, then bclua is built (one or two minutes), then the pipeline runs on 62'
	@echo 'demo: recordings that it makes itself (one to three minutes); all of it goes to build/ (200 MB) and runs/ (150 MB)'
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

# TRIALS of each; a failure repeats, more or less, with the same SEED.
TRIALS ?= 10
SEED   ?= 1
stress: build
	@$(RUN) spec/stress/processes.lua $(TRIALS) $(SEED)

install: all
	@sh rocks/install.sh $B '$(DESTDIR)$(PREFIX)'

dist:
	@sh rocks/dist.sh $B

# DEBFLAGS: of dpkg-deb.
deb: all
	@sh rocks/deb.sh $B $(DEBFLAGS)

# Installs nothing here. Where this machine cannot, a sentence and an error: nothing was tested.
deb-test: all
	@sh spec/deb.sh $B

uninstall:
	@sh rocks/uninstall.sh '$(DESTDIR)$(PREFIX)'

# Not the libraries: they were fetched, not built.
clean:
	@if [ -d $B ]; then find $B -mindepth 1 -maxdepth 1 ! -name 'libduckdb.so*' ! -name 'libonnxruntime.so*' -exec rm -rf {} +; fi

distclean:
	rm -rf $B

include rocks/sanitize.mk rocks/fuzz.mk rocks/cluster.mk rocks/doc.mk

-include $(MODULE:.o=.d) $(HOST:.o=.d)
