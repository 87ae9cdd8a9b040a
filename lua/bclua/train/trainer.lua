--- The training loop: rounds of batches, validation, metrics, checkpoints, going on
-- where a run stopped.
-- @module bclua.train.trainer
local checkpoints = require "bclua.train.checkpoints"
local collapse = require "bclua.train.collapse"
local is_finite = require("bclua.numbers").is_finite
local metrics = require "bclua.train.metrics"
local options_of = require "bclua.options"
local schedule = require "bclua.train.schedule"
local system = require "bclua.system"
local training_options = require "bclua.train.options"

local trainer = {}

local MEANS = {"loss", "loss_n", "loss_d", "active", "spread", "cosine", "gradient_norm"}
local HEAVY = 1 << 20 -- bytes of a role's samples
local MOST_SKIPPED = 20 -- batches in a row: the weights, not the batches, are ill

--- A schema: the settings of a training as `fit` takes them.
trainer.settings = options_of.extend(training_options.settings, {beta1 = false, beta2 = false,
   betas = training_options.step.betas, loss = training_options.measure.loss, margin = training_options.measure.margin})

local FIT = options_of.extend(trainer.settings, {
   run = {"string", needed = true},
   checkpoint_batches = {"integer", least = 0, default = 0},
   resume = "string",
   metadata = "table",
   on_start = "function",
   validate = "function",
   on_batch = "function",
   on_round = {"function", was = "on_epoch"},
   on_warning = "function",
   on_checkpoint = "function",
   report_nonfinite = "function",
   ranks = "table",
})

local function settle(options)
   local o = options_of.check(options, FIT, 4)
   if o.schedule == "constant" and o.lr_step > 0 then o.schedule = "step" end
   if o.schedule == "step" and o.lr_step == 0 then error("schedule 'step' needs option 'lr_step'", 3) end
   if o.patience > 0 and not o.validate then error("option 'patience' needs option 'validate'", 3) end
   if o.ranks and o.ranks.rank() > 0 then -- they would do a second time what the first one does
      for _, name in ipairs{"on_start", "on_batch", "on_round", "on_warning", "on_checkpoint", "report_nonfinite"} do
         o[name] = nil
      end
   end
   return o
end

local Training = {}
Training.__index = Training

-- --- ranks: all train, the first one writes and decides ------------------------------------

local GRACE_S = 5 -- of the other ranks for the first one, which saves when the step is interrupted

-- What the first rank finds out, a table, for all. Where that fails there, it ends, and the others with it.
function Training:from_first(find)
   if not self.ranks then return find() end
   if not self.is_first then return checkpoints.decode(self.ranks.broadcast()) end
   local found, message = find()
   if found then self.ranks.broadcast(checkpoints.encode(found)) end
   return found, message
end

-- Do all ranks begin in the same place? true, or nil and a message. Other instructions are only warned of.
function Training:agree()
   if not self.ranks then return true end
   local sum, where, weights = 0, self:step_options(), self.net:parameters()
   for _, name in ipairs(self.net.names) do sum = sum + (weights[name] and weights[name]:sum() or 0) end
   where.ranks, where.weights, where.step, where.loader = nil, sum, self.net.step, self:loader_state()
   local all = self.ranks.all_gather(checkpoints.encode(where))
   for i, other in ipairs(all) do
      if other ~= all[1] then return nil, ("rank %d would train %s, rank 0 %s"):format(i - 1, other, all[1]) end
   end
   local levels = self.ranks.all_gather(system.instructions())
   for i, level in ipairs(levels) do
      if level ~= levels[1] and self.o.on_warning then
         self.o.on_warning(("rank %d has instructions %s, rank 0 %s: on others the bits may be others"):format(i - 1,
            level, levels[1]))
         break
      end
   end
   return true
end

-- --- one training: what is known while it runs ------------------------------------------

-- The state at the beginning, with what a checkpoint knows laid over it.
local function new_state(found)
   local state = {rounds = 0, batch = 0, seconds = 0, skipped = 0, in_a_row = 0, stale = 0, sum = {}, count = {},
      best = {}, history = {}}
   for key, value in pairs(found or {}) do state[key] = value end
   return state
end

function Training:loader_state() return self.loader.state and self.loader:state() or nil end

local function shallow(t)
   local copy = {}
   for key, value in pairs(t) do copy[key] = value end
   return copy
end

-- What batch norm keeps moves with every batch, the weights with every step.
local function running(net)
   local found = {}
   for name, a in pairs(net:state()) do
      if name:find("%.running_") or name:find("%.num_batches_tracked$") then found[name] = a end
   end
   return found
end

-- Note where the training stands, between two steps: a checkpoint says this, also
-- when what came after was cut off.
function Training:mark_step()
   local s = self.state
   s.meter = self.meter:state()
   local state = shallow(s)
   state.sum, state.count = shallow(s.sum), shallow(s.count)
   self.mark = {state = state, loader = self:loader_state()}
   if self.o.accumulate > 1 then
      self.mark.running = {}
      for name, a in pairs(running(self.net)) do self.mark.running[name] = a:copy() end
   end
end

-- Go back to the last step: batches that wait for theirs are forgotten.
function Training:back_to_mark()
   for name, a in pairs(self.mark.running and running(self.net) or {}) do a:fill(self.mark.running[name]) end
   self.net.pending = 0
end

function Training:metadata()
   local metadata, mark = shallow(self.o.metadata or {}), self.mark
   metadata.round, metadata.step = tostring(mark.state.rounds), tostring(self.net.step)
   metadata.training, metadata.loader = checkpoints.encode(mark.state), mark.loader
   return metadata
end

-- Save in the middle of a round.
function Training:save_last()
   self:back_to_mark()
   self.saved, self.saved_batch = system.clock(), self.state.batch
   if not self.is_first then
      if system.interrupted() then system.uninterrupted(system.sleep, GRACE_S) end
      return "none"
   end
   local path, message = checkpoints.save_last(self.net, self.folder, self:metadata())
   if not path then return nil, message end
   if self.o.on_checkpoint then self.o.on_checkpoint(path, self.net.step) end
   return path
end

-- A round ends with a step.
function Training:is_round_done()
   local o, s = self.o, self.state
   if self.net.pending > 0 then return false end
   if o.round_minutes > 0 then return s.seconds >= 60 * o.round_minutes end
   return s.batch >= o.batches_per_round
end

-- Steps of the whole training; by the clock they are estimated from the
-- share of the time that has gone.
function Training:total()
   local o, s = self.o, self.state
   if o.round_minutes <= 0 then return o.max_rounds * ((o.batches_per_round - 1) // o.accumulate + 1) end
   local gone = (s.rounds + math.min(1, s.seconds / (60 * o.round_minutes))) / o.max_rounds
   return gone > 0 and self.net.step / gone or math.huge
end

function Training:rate()
   return schedule.rate(self.o, {step = self.net.step, total = self:total(), round = self.state.rounds + 1})
end

-- Call f; true and its results. Where Ctrl-C or SIGTERM stopped it: false.
local function unless_interrupted(f, ...)
   local result = table.pack(pcall(f, ...))
   if result[1] then return table.unpack(result, 1, result.n) end
   if system.interrupted() then return false end
   error(result[2], 0)
end

-- Options of `train_step`.
function Training:step_options()
   local o = self.o
   return {lr = self:rate(), betas = o.betas, eps = o.eps, weight_decay = o.weight_decay, loss = o.loss,
      margin = o.margin, l2 = o.l2, temperature = o.temperature, roles = o.roles, accumulate = o.accumulate,
      batch_shards = o.batch_shards, gradients = o.gradients, ranks = self.ranks,
      clip_norm = o.clip_norm > 0 and o.clip_norm or nil}
end

-- One batch: what is known of it, or nil and a message; then the batch and the
-- options of the step, if it is the step that failed.
function Training:train_batch()
   local start = system.clock()
   if self.heavy then collectgarbage() end -- it sees little of a batch's memory
   local batch, message = self.loader:next()
   if not batch then return nil, message or "the loader has no more triplets" end
   self.heavy = batch.anchor:bytes() > HEAVY
   local loaded, options = system.clock(), self:step_options()
   local info, why, kind = self.net:train_step(batch, options)
   if not info and kind == "memory" then return nil, why end
   if not info then return nil, why, batch, options end
   info.overflowed, info.step, info.lr = info.skipped, self.net.step, options.lr
   info.triplets = #batch.anchor * (self.ranks and self.ranks.size() or 1)
   local times = self:from_first(function() return {system.clock() - start, loaded - start} end)
   info.seconds, info.wait = times[1], times[2]
   info.triplets_per_second, info.wait_share = info.triplets / info.seconds, info.wait / info.seconds
   return info
end

local function line_of(info, kind)
   local line = {kind = kind, round = info.round, batch = info.batch, step = info.step, lr = info.lr,
                 skipped = info.skipped, triplets_per_second = info.triplets_per_second, wait_share = info.wait_share}
   for _, key in ipairs(MEANS) do line[key] = is_finite(info[key]) and info[key] or nil end
   return line
end

-- A batch with a loss or gradient that is not finite, and those that waited with
-- it, are left out: true to go on.
function Training:not_finite(message, batch, options)
   local o, s = self.o, self.state
   self:back_to_mark()
   local detail = o.report_nonfinite and o.batch_shards == 1 and o.report_nonfinite(batch, options, s.skipped)
   local text = ("round %d: step %d: %s; weights left as they were%s"):format(s.rounds + 1, self.net.step + 1, message,
      detail and "\n" .. detail or "")
   if o.on_nonfinite == "stop" then
      local path, why = self:save_last()
      if not path then text = text .. "\n" .. why end
      if self.ranks then self.ranks.barrier() end -- who ends first ends all
      return nil, text
   end
   s.batch, s.skipped, s.in_a_row = s.batch + 1, s.skipped + 1, s.in_a_row + 1
   if s.in_a_row >= MOST_SKIPPED then
      return nil, ("%s\n%d batches in a row: it is not the batches"):format(text, s.in_a_row)
   end
   if o.on_warning then o.on_warning("skipped " .. text) end
   return self.metrics:write({kind = "skipped", round = s.rounds + 1, batch = s.batch, step = self.net.step,
      message = message})
end

function Training:note_batch(info)
   local o, s = self.o, self.state
   s.batch, s.in_a_row, s.seconds = s.batch + 1, 0, s.seconds + info.seconds
   self.last_rate = info.lr
   for _, key in ipairs{"triplets", "seconds", "wait"} do s.sum[key] = (s.sum[key] or 0) + info[key] end
   for _, key in ipairs(MEANS) do
      if is_finite(info[key]) then
         s.sum[key], s.count[key] = (s.sum[key] or 0) + info[key], (s.count[key] or 0) + 1
      end
   end
   info.round, info.batch, info.skipped, info.round_seconds = s.rounds + 1, s.batch, s.skipped, s.seconds
   info.batches_per_round, info.max_rounds = o.batches_per_round, o.max_rounds
   local warning = self.meter:update(info)
   if warning and o.on_warning then o.on_warning(("step %d: %s"):format(info.step, warning)) end
   local ok, message = self.metrics:write(line_of(info, "batch"))
   if not ok then return nil, message end
   if o.on_batch then o.on_batch(info) end
   return true
end

function Training:is_checkpoint_due()
   local o, done = self.o, self.state.batch - self.saved_batch
   if self:is_round_done() or self.net.pending > 0 or done == 0 then return false end
   return o.checkpoint_batches > 0 and done >= o.checkpoint_batches
      or o.checkpoint_minutes > 0 and system.clock() - self.saved >= 60 * o.checkpoint_minutes
end

-- The batches of a round that are left. true; "interrupted"; or nil, message.
function Training:run_batches()
   while not self:is_round_done() do
      local done, info, message, batch, options = unless_interrupted(self.train_batch, self)
      local ok, why = true, nil
      if done and info then
         ok, why = self:note_batch(info)
      elseif done and batch then
         ok, why = self:not_finite(message, batch, options)
      elseif done and not system.interrupted() then
         return nil, ("round %d: %s"):format(self.state.rounds + 1, message)
      end
      if not ok then return nil, why end
      if done and self.net.pending == 0 then self:mark_step() end
      if system.interrupted() then
         ok, why = self:save_last()
         return ok and "interrupted", why
      end
      if self:is_checkpoint_due() then
         ok, why = self:save_last()
         if not ok then return nil, why end
      end
   end
   return true
end

-- Means of the round; its sums begin anew.
function Training:close_round()
   local s = self.state
   local info = {round = s.rounds + 1, max_rounds = self.o.max_rounds, step = self.net.step, batches = s.batch,
      lr = self.last_rate or self:rate(), skipped = s.skipped, seconds = s.sum.seconds or 0,
      triplets = s.sum.triplets or 0, wait = s.sum.wait or 0}
   for _, key in ipairs(MEANS) do
      if s.sum[key] then info[key] = s.sum[key] / s.count[key] end
   end
   if info.seconds > 0 then
      info.triplets_per_second, info.wait_share = info.triplets / info.seconds, info.wait / info.seconds
   end
   s.rounds, s.batch, s.seconds, s.sum, s.count = s.rounds + 1, 0, 0, {}, {}
   return info
end

-- Where the round stands among the best; is it one of them?
function Training:rank(info)
   local s, score = self.state, info.validation.loss
   local first = s.best[1]
   s.stale = (not first or score < first.score) and 0 or s.stale + 1
   local at = #s.best + 1
   while at > 1 and score < s.best[at - 1].score do at = at - 1 end
   table.insert(s.best, at, {round = info.round, score = score})
   for i = #s.best, math.max(self.o.keep_best, 1) + 1, -1 do s.best[i] = nil end
end

-- What `validate` finds; an empty table if that is nothing finite; or nil and a message.
function Training:validate()
   return self:from_first(function()
      local result, message = self.o.validate(self.net)
      if result == nil then return nil, message end
      if result and is_finite(result.loss) then return result end
      if result and self.o.on_warning then
         self.o.on_warning(("round %d: the loss of validation is %s"):format(self.state.rounds + 1, result.loss))
      end
      return {}
   end)
end

-- Validation, notes and checkpoint of a round whose batches are done.
function Training:end_round()
   local o, s = self.o, self.state
   local validation
   if o.validate then
      local done, result, message = unless_interrupted(self.validate, self)
      if not done or system.interrupted() then
         local ok, why = self:save_last()
         return ok and "interrupted", why
      end
      if result == nil then return nil, message end
      validation = result.loss and result or nil
   end
   local info = self:close_round()
   info.validation = validation
   s.history[#s.history + 1] = {round = info.round, step = info.step, loss = info.loss,
      validation = validation and validation.loss}
   if validation then self:rank(info) end
   local line = line_of(info, "round")
   line.validation = validation
   local ok, message = self.metrics:write(line)
   if not ok then return nil, message end
   self:mark_step()
   local last, best
   if self.is_first then
      last, best = checkpoints.save_round(self.net, self.folder, self:metadata(), info.round, o.keep,
         o.keep_best > 0 and s.best or {})
      if not last then return nil, best end
   end
   self.saved, self.saved_batch, info.checkpoint, info.best = system.clock(), 0, last, best
   info.best_round = s.best[1] and s.best[1].round
   return info
end

function Training:run()
   local o, s = self.o, self.state
   local result = {round = s.rounds, step = self.net.step, checkpoint = o.resume, history = s.history}
   if s.rounds < o.max_rounds and o.on_start then
      local done, ok, message = unless_interrupted(o.on_start)
      if done and not ok then return nil, message end
      if not done then return nil, "interrupted" end -- before anything was done
   end
   while s.rounds < o.max_rounds do
      if o.patience > 0 and s.stale >= o.patience then
         result.stopped = ("no better validation in %d rounds"):format(s.stale)
         break
      end
      local ok, message = self:run_batches()
      if ok == true then ok, message = self:end_round() end
      if not ok then return nil, message end
      if ok == "interrupted" then return {interrupted = true, round = s.rounds, step = self.net.step} end
      result = ok
      result.history = s.history
      local seen = self:from_first(function() return {stop = o.on_round and o.on_round(result) == false} end)
      if seen.stop then break end
   end
   return result
end

local function take(run)
   if run then return require("bclua.lock").take(run) end
end

local release = setmetatable({}, {__close = function() system.hold_interrupts(false) end})

--- Train a network.
-- A round is a fixed number of batches, or a fixed time. At its end the network is
-- validated, and a checkpoint written (`bclua.train.checkpoints`): weights, optimiser, the
-- loader's state if it has one, and all that the training knows, so that a run
-- that was killed goes on to the same bits. In between, a checkpoint is written every few
-- minutes, and on Ctrl-C or SIGTERM, which then raise as ever.
--
-- `<run>/metrics.jsonl` gets a line per batch (`kind` "batch") and one per round
-- ("round", means): round, step, loss, loss_n, loss_d, active, spread,
-- gradient_norm, lr, triplets_per_second, wait_share, skipped; rounds also `validation`.
-- TensorBoard finds the same in `<run>/tensorboard`. A new run starts them anew;
-- one that goes on keeps what is not behind its checkpoint.
-- @tparam network net
-- @tparam table loader `loader:next()` gives `{anchor=, neighbor=, distant=}`,
--  arrays (B, samples), or nil and a message; optional `loader:state()` -> string
--  and `loader:restore(string)` -> true, or nil and a message, to go on from there
-- @tparam table options `run`: folder to write to.
--
--  Length: `batches_per_round` (100), or `round_minutes` (0: count batches); `max_rounds` (10);
--  `patience` (0: never) rounds without better validation after which it ends.
--
--  Steps: `schedule`, `lr` (1e-3), `warmup`, `lr_step`, `lr_gamma`, `lr_final` (see
--  `bclua.train.schedule`; a step of a round by the clock is a share of its time), `betas` ({0.5, 0.999}),
--  `eps` (1e-8), `weight_decay` (0.01), `loss`, `margin`, `l2` (0.01), `temperature`, `roles`, `clip_norm` (0: none),
--  `accumulate` (1), as for `train_step` of `bclua.nn`.
--
--  Several processes: `batch_shards` (1), `gradients` ("full"), as for `train_step`; `ranks`: `bclua.mpi`, if its ranks
--  share the batches. Then the loader of each gives its part of every batch. The first rank writes, calls and decides;
--  the others only compute. Where they run on processors with other instructions, it warns.
--
--  Checkpoints: `keep` (3) newest and `keep_best` (3) rounds; `checkpoint_minutes` (10; 0: none between
--  rounds), `checkpoint_batches` (0); `resume`: checkpoint to go on from; `metadata`: words for them.
--
--  What is called: `on_start()`, if there is something to do, false or nil and a message ends it; `validate(net)` ->
--  table with `loss`, false (none), or nil and a message; `on_batch(info)`;
--  `on_round(info)`, false ends the training; `on_warning(text)`; `on_checkpoint(path, step)`;
--  `report_nonfinite(batch, options, skipped)` -> text for the message. `on_nonfinite`: "stop", or
--  "skip" the batch and count it.
-- @treturn[1] table the last round's means, with `round`, `step`, `checkpoint`, `best` (path), `history`,
--  `stopped` (why it ended early)
-- @treturn[2] nil
-- @treturn[2] string message; of a loss or gradient that is not finite, with the
--  step, before it touches the weights
-- @raise "interrupted!" once the checkpoint is written
function trainer.fit(net, loader, options)
   local o = settle(options)
   local ranks = o.ranks and o.ranks.size() > 1 and o.ranks or nil
   local is_first = not ranks or ranks.rank() == 0
   local folder = o.run .. "/checkpoints"
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   local locked <close>, busy = take(is_first and o.run) -- luacheck: ignore
   if busy then return nil, busy end
   local found
   if o.resume then
      found, message = checkpoints.resume(net, loader, o.resume)
      if not found then return nil, message end
   end
   local state = new_state(found)
   local notes <close>, why = metrics.open(is_first and o.run, o.resume and {rounds = state.rounds, batch = state.batch,
      step = net.step})
   if not notes then return nil, why end
   local training = setmetatable({net = net, loader = loader, o = o, folder = folder, state = state, metrics = notes,
      ranks = ranks, is_first = is_first, saved = system.clock(), saved_batch = state.batch,
      meter = collapse.new({margin = o.margin or training_options.margins[o.loss]}, state.meter)}, Training)
   ok, message = training:agree()
   if not ok then return nil, message end
   net.pending = 0
   training:mark_step()
   system.hold_interrupts(true)
   local guard <close> = release -- luacheck: ignore
   return training:run()
end

return trainer
