# cluster.mk: what takes a scheduler. Included by the Makefile.

.PHONY: cluster-test cluster-deps

# Installs nothing. Where this machine cannot, a sentence and an error: nothing was tested.
cluster-test: build
	@sh spec/cluster/run.sh $(RUN)

cluster-deps:
	@DUCKDB_LIB="$(DUCKDB_LIB)" sh rocks/deps.sh cluster $B
