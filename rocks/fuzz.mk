# fuzz.mk: random input for what reads files, random arguments for C functions. Included by the
# Makefile after sanitize.mk.

.PHONY: fuzz seams

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
	  $(filter -llua%,$(FOUND)) $(LIBS)

$B/fuzz/obj/%.o: %.c Makefile
	@echo CC $<
	@mkdir -p $(@D)
	@clang $(BASE) $(INCLUDE) -DBCLUA_VERSION='"fuzz"' -O1 -g $(FUZZ) -MMD -MP -c -o $@ $<

-include $(FUZZED:.o=.d)
