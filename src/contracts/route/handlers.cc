#include "contracts/route/handlers.h"

#include <algorithm>
#include <future>
#include <utility>

#include "contracts/route/host_functions.h"
#include "contracts/route/manifest.h"
#include "net/worker.h"

namespace heddle::route {
namespace {

Error error_of(const Failure& failure) {
  return {failure.status == 404   ? ErrorKind::kNotFound
          : failure.status == 504 ? ErrorKind::kTimeout
          : failure.status == 503 ? ErrorKind::kUnavailable
                                  : ErrorKind::kTrap,
          failure.message};
}

}  // namespace

Handlers::Handlers(const Dependencies& dependencies, const extension::PluginSpec& spec,
                   const sandbox::Module& module, std::shared_ptr<const RouteManifest> manifest)
    : manifest_(std::move(manifest)), runtime_(dependencies, spec, module, *manifest_) {
  for (const ManifestRoute& route : manifest_->routes) {
    origins_.push_back(std::make_unique<RouteOrigin>(*this, route));
  }
}

Handlers::~Handlers() = default;

Result<std::shared_ptr<Handlers>> Handlers::create(const Dependencies& dependencies,
                                                   const extension::PluginSpec& spec,
                                                   std::shared_ptr<const sandbox::Module> module,
                                                   std::shared_ptr<const RouteManifest> manifest) {
  std::shared_ptr<Handlers> out(new Handlers(dependencies, spec, *module, std::move(manifest)));
  const std::vector<sandbox::HostFunction> own = host_functions(*module);
  const std::array<std::span<const sandbox::HostFunction>, 2> tables = {own,
                                                                        sandbox::wasi_functions()};
  auto linked = sandbox::LinkedModule::create(dependencies.engine, std::move(module), tables);
  if (!linked) return std::unexpected(std::move(linked.error()));
  out->linked_ = std::move(*linked);
  if (auto tried = out->try_start(dependencies.log); !tried) {
    return std::unexpected(std::move(tried.error()));
  }
  return out;
}

// On a worker of its own, because init() may call services, and these answer on workers.
Result<void> Handlers::try_start(Log& log) {
  net::Worker worker(extension::kSmokeWorker, log);
  worker.start();
  std::promise<Result<void>> tried;
  worker.post([&] {
    Job job;
    job.kind = Job::Kind::kStartOnly;
    job.timeout = runtime_.spec().timeout;
    guests(worker).run(std::move(job), [&](Outcome<JobResult> result) {
      tried.set_value(result ? Result<void>() : std::unexpected(error_of(result.error())));
    });
  });
  auto out = tried.get_future().get();
  std::promise<void> stopped;
  worker.post([&] {
    stop(worker);
    stopped.set_value();
  });
  stopped.get_future().wait();
  worker.stop();
  worker.join();
  return out;
}

WorkerGuests& Handlers::guests(net::Worker& worker) {
  auto& out = workers_.at(worker.index());
  if (out == nullptr) out = std::make_unique<WorkerGuests>(runtime_, linked_, worker);
  return *out;
}

Result<void> Handlers::start(net::Worker& worker) {
  services::EventBus* const events = runtime_.services().events;
  const bool hears =
      events != nullptr && runtime_.spec().permit_events && !manifest_->events.empty();
  if (hears && worker.index() == 0) {
    inbox_ =
        std::make_unique<EventInbox>(runtime_, guests(worker), worker, *events, manifest_->events);
  }
  if (!runtime_.spec().reuse_instances) return {};
  Job job;
  job.kind = Job::Kind::kStartOnly;
  job.timeout = runtime_.spec().timeout;
  guests(worker).run(std::move(job), [](Outcome<JobResult> /*ready*/) {});
  return {};
}

void Handlers::stop(net::Worker& worker) {
  if (worker.index() == 0) inbox_.reset();
  workers_.at(worker.index()).reset();
}

void Handlers::end(const std::shared_ptr<Handlers>& handlers) {
  handlers->workers_.for_each([&handlers](const auto& guests) {
    if (guests == nullptr) return;
    net::Worker& worker = guests->worker();
    worker.post([handlers, &worker] { handlers->stop(worker); });
  });
}

void Handlers::execute(net::Worker& worker,
                       std::move_only_function<void(Result<std::int32_t>)> done) {
  Job job;
  job.kind = Job::Kind::kExecute;
  job.timeout = runtime_.spec().timeout;
  guests(worker).run(std::move(job), [done = std::move(done)](Outcome<JobResult> result) mutable {
    if (!result) return done(std::unexpected(error_of(result.error())));
    done(std::get<std::int32_t>(*result));
  });
}

bool Handlers::offers_import(std::string_view module, std::string_view name) {
  return offers_host_function(module, name);
}

}  // namespace heddle::route
