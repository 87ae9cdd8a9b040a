-- usage: bclua scripts/bench/memory.lua [--batch N] [--precision P] [--recompute C] [--widths A,B,C,D]
--   [--steps N]
-- Memory of a training step of the network: what the plan says, and what a process
-- of its own then takes at its peak (noise).
local bench = require "bclua.experiment.bench"
local cli = require "bclua.cli"

local parser = cli.parser("scripts/bench/memory.lua", "Planned and measured memory of a training step.")
parser:option("--batch", "Triplets."):argname("N"):default("8"):convert(cli.integer("--batch", 1))
parser:option("--precision", "f32, bf16 or f16."):argname("P"):default("f32")
   :convert(cli.choice("--precision", {"f32", "bf16", "f16"}))
cli.renamed("--checkpoint", "--recompute")
parser:option("--recompute", "auto, cheap, none, stage or role."):argname("C"):default("auto")
   :convert(cli.choice("--recompute", {"auto", "cheap", "none", "stage", "role"}))
parser:option("--widths", "Channels of the first four stages; the last is also the embedding's size.")
   :argname("A,B,C,D"):default("64,128,256,512"):convert(cli.rule("--widths", require("bclua.train.options").widths))
parser:option("--steps", "Training steps."):argname("N"):default("2"):convert(cli.integer("--steps", 1))
local o = parser:parse()

local function megabytes(bytes) return ("%.0f MB"):format(bytes / 1e6) end

local r = bench.training_memory{batch_size = o.batch, precision = o.precision, recompute = o.recompute,
                                widths = o.widths, steps = o.steps}
print(("B=%d %s, recompute %s: planned %s, taken %s (%+.1f %%); %.1f MB per triplet"):format(o.batch, o.precision,
   o.recompute, megabytes(r.planned.total), megabytes(r.taken), 100 * (r.taken / r.planned.total - 1),
   r.taken / o.batch / 1e6))
for _, part in ipairs{"weights", "gradients", "moments", "arena", "kept", "scratch", "batch", "process"} do
   print(("   %-10s %10s"):format(part, megabytes(r.planned[part])))
end
print(("   %d steps in %.1f s of processor time"):format(o.steps, r.cpu_s))
