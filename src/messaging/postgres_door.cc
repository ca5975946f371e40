#include "messaging/postgres_door.h"

#include <algorithm>
#include <utility>

#include "services/postgres_open.h"

namespace heddle::messaging {
namespace {

constexpr Nanoseconds kFirstPause = 50'000'000;
constexpr Nanoseconds kLongestPause = 2'000'000'000;

}  // namespace

PostgresDoor::PostgresDoor(PostgresSession::Target target, Log& log)
    : target_(std::move(target)), place_(services::postgres_place(target_.url)), log_(log) {}

Result<std::unique_ptr<PostgresSession>> PostgresDoor::open() {
  {
    const std::lock_guard lock(mutex_);
    if (failure_ && monotonic_now() < retry_at_) return std::unexpected(*failure_);
    // Others fail meanwhile.
    retry_at_ = monotonic_now() + kLongestPause;
  }
  auto out = PostgresSession::open(target_);
  if (out) {
    is_back();
  } else {
    went(out.error());
  }
  return out;
}

void PostgresDoor::lost(const Error& error) {
  log_.warn("a connection of the message store was lost",
            {{"database", place_}, {"error", error.message}});
}

void PostgresDoor::went(const Error& error) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = !failure_;
    failure_ = error;
    pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
    retry_at_ = monotonic_now() + pause_;
  }
  if (!first) return;
  log_.error("the message store cannot be reached; requests to it are answered 503",
             {{"database", place_}, {"error", error.message}});
}

void PostgresDoor::is_back() {
  bool was_gone = false;
  {
    const std::lock_guard lock(mutex_);
    was_gone = std::exchange(failure_, std::nullopt).has_value();
    pause_ = 0;
  }
  if (was_gone) log_.info("the message store can be reached again", {{"database", place_}});
}

}  // namespace heddle::messaging
