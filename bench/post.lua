-- The request that wrk repeats: a chat completion with a prompt of 1.8 kB. Arguments: the key, the model.
local prompt = string.rep("The quick brown fox jumps over the lazy dog. ", 40)

function init(args)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["authorization"] = "Bearer " .. args[1]
  wrk.body = '{"model":"' .. args[2] .. '","messages":[{"role":"system","content":"You are helpful."},'
    .. '{"role":"user","content":"' .. prompt .. '"}],"temperature":0.7,"max_completion_tokens":64}'
end

-- The counts as one line that a program can read.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(99)))
end
