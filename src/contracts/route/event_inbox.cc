#include "contracts/route/event_inbox.h"

#include <boost/json.hpp>
#include <utility>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "base/log.h"

namespace heddle::route {

EventInbox::EventInbox(Runtime& runtime, WorkerGuests& guests, net::Worker& worker,
                       services::EventBus& events, const std::vector<ManifestEvent>& wanted)
    : runtime_(runtime), guests_(guests), wanted_(wanted) {
  std::vector<std::string> names;
  names.reserve(wanted.size());
  for (const ManifestEvent& one : wanted) names.push_back(one.name);
  subscription_ = events.subscribe(worker, runtime.spec().name, std::move(names),
                                   [this](const services::PluginEvent& event) { take(event); });
}

EventInbox::~EventInbox() {
  self_.reset();
  const std::size_t left = subscription_->unfinished();
  subscription_.reset();
  if (running_ != 0) guests_.cancel(running_);
  if (left == 0) return;
  runtime_.record().line(LogLevel::kWarn,
                         std::to_string(left) + " events were not handled when the version ended",
                         {});
}

bool EventInbox::retire() {
  subscription_->leave();
  return subscription_->unfinished() == 0;
}

void EventInbox::take(const services::PluginEvent& event) {
  for (const ManifestEvent& one : wanted_) {
    if (services::event_matches(one.name, event.name)) {
      waiting_.push_back({one.handler, event_input(event)});
    }
  }
  subscription_->pause();
  next();
}

void EventInbox::next() {
  if (waiting_.empty()) return subscription_->resume();
  Job job;
  job.handler = std::move(waiting_.front().handler);
  job.input = std::move(waiting_.front().input);
  job.timeout = runtime_.spec().timeout;
  waiting_.pop_front();
  // An outcome that is on its way already cannot be cancelled.
  running_ = guests_.run(
      std::move(job), [this, self = std::weak_ptr(self_)](const Outcome<JobResult>& /*outcome*/) {
        if (self.expired()) return;
        running_ = 0;
        next();
      });
}

std::string event_input(const services::PluginEvent& event) {
  std::string out = R"({"event":)";
  append_json_string(out, event.name);
  out += R"(,"payload":)";
  boost::system::error_code failed;
  const boost::json::value payload = parse_json(event.payload, failed);
  if (failed) {
    append_json_string(out, event.payload);
  } else {
    out += write_json(payload);
  }
  out += R"(,"plugin":)";
  append_json_string(out, event.plugin);
  out += R"(,"id":)" + std::to_string(event.id) + R"(,"time":")";
  append_timestamp(out, event.time);
  out += "\"}";
  return out;
}

}  // namespace heddle::route
