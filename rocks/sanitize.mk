# sanitize.mk: specs under sanitizers. Included by the Makefile.

.PHONY: asan tsan

# Lua over kernels that have specs of their own, and slow: only SPEC= runs these.
OF_LUA := active analysis browse classify damaged evaluate_labels evaluate_workflow evaluation_set experiments_% \
          hearing labels pieces pipeline_layouts readout report scripts shards trial workflow
SANITIZED = spec/run.lua --jobs=$(JOBS) $(if $(filter-out spec,$(SPEC)),$(SPEC),$\
            $(filter-out $(OF_LUA:%=spec/%_spec.lua),$(wildcard spec/*_spec.lua)))

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# intercept_tls_get_addr: up to GCC 13 the runtime takes what lies before a block of
# dynamic TLS for its address and length when the block begins 16 bytes into a page;
# the leak check then reads there and dies ("Tracer caught signal 11"). glibc 2.25 and
# later have nothing there to be read.
asan: deps
	@+$(BUILD) B=$B/asan CFLAGS='-O1 -g' EXTRA='$(ASAN)' build
	@ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:intercept_tls_get_addr=0:$(ASAN_OPTIONS) UBSAN_OPTIONS=print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=spec/lsan.supp:print_suppressions=0 \
	  BCLUA_SANITIZED=1 $B/asan/bclua $(SANITIZED)

tsan: deps
	@+$(BUILD) B=$B/tsan CFLAGS='-O1 -g' EXTRA='-fsanitize=thread -fno-omit-frame-pointer' build
	@TSAN_OPTIONS=suppressions=$(CURDIR)/spec/tsan.supp BCLUA_SANITIZED=1 $B/tsan/bclua $(SANITIZED)
