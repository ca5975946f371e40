// What the programs of the benchmarks run a plugin with: an engine, one worker, and nothing that
// logs.
#pragma once

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"
#include "net/worker.h"
#include "sandbox/engine.h"

namespace heddle::bench {

struct PluginHost {
  explicit PluginHost(const sandbox::EngineOptions& options)
      : engine(sandbox::Engine::create(options, *log, metrics)) {}

  std::unique_ptr<Log> log = Log::null();
  metrics::Registry metrics;
  Result<std::unique_ptr<sandbox::Engine>> engine;
  net::Worker worker{0, *log};
};

inline std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Runs the worker while `serve` runs; its result is the program's.
template <typename Serve>
int with_worker(net::Worker& worker, Serve serve) {
  worker.start();
  const int code = serve();
  worker.stop();
  worker.join();
  return code;
}

inline int failed(const Error& error) {
  std::cerr << error.message << "\n";
  return 1;
}

}  // namespace heddle::bench
