#include "messaging/lanes.h"

#include <utility>

namespace heddle::messaging {
namespace {

constexpr std::size_t kMaxWaiting = 1'000;  // for one recipient
constexpr std::size_t kMaxLanes = 100'000;
// How long others wait at most for what stands in this process's lane; and how much longer than
// they need to notice (postgres_leases.cc) they have after it.
constexpr Nanoseconds kTurn = 100'000'000;
constexpr Nanoseconds kRest = 5'000'000;

}  // namespace

class Lanes::Place final : public Reservation {
 public:
  Place(std::shared_ptr<Lanes> lanes, std::string recipient_key, std::uint64_t generation,
        std::uint64_t seq)
      : lanes_(std::move(lanes)),
        recipient_key_(std::move(recipient_key)),
        generation_(generation),
        seq_(seq) {}
  ~Place() override {
    if (!stored_) lanes_->leave(recipient_key_, generation_, seq_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::uint64_t seq() const override { return seq_; }

  void store(NewMessage message, Reply<Receipt> done) override {
    stored_ = true;
    lanes_->begin_store(recipient_key_);
    lanes_->store_.store(std::move(message), seq_,
                         [lanes = lanes_, recipient = recipient_key_, generation = generation_,
                          answer = std::move(done)](Result<Receipt> receipt) mutable {
                           lanes->stored(recipient, generation, receipt && !receipt->repeated);
                           answer(std::move(receipt));
                         });
    // Only now, so that the next number is stored behind this one.
    lanes_->leave(recipient_key_, generation_, seq_ + 1);
  }

 private:
  const std::shared_ptr<Lanes> lanes_;
  const std::string recipient_key_;
  const std::uint64_t generation_;
  const std::uint64_t seq_;
  bool stored_ = false;
};

// NOLINTNEXTLINE(performance-unnecessary-value-param): others run before it is done with the key
void Lanes::reserve(std::string recipient_key, Reply<std::unique_ptr<Reservation>> done) {
  {
    const std::lock_guard lock(mutex_);
    if (lanes_.size() >= kMaxLanes) forget_idle();
    Lane& lane = lanes_[recipient_key];
    if (lane.waiting.size() < kMaxWaiting) {
      lane.waiting.push_back(std::move(done));
      done = nullptr;
    }
  }
  if (done) {
    done(fail(ErrorKind::kUnavailable,
              "too many messages to this recipient wait at once; try again later"));
    return;
  }
  go_on(recipient_key);
}

// Gives the next number to whoever waits, or asks for it.
void Lanes::go_on(const std::string& recipient_key) {
  Reply<std::unique_ptr<Reservation>> next;
  std::uint64_t seq = 0;
  std::uint64_t generation = 0;
  Nanoseconds not_before = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = lanes_.find(recipient_key);
    if (found == lanes_.end()) return;
    Lane& lane = found->second;
    if (lane.held || lane.loading) return;
    end_turn_if_due(recipient_key, lane);
    if (lane.waiting.empty()) {
      if (store_.end_turn && lane.idle()) lanes_.erase(found);
      return;
    }
    if (lane.next) {
      seq = *lane.next;
      generation = lane.generation;
      lane.held = true;
      next = std::move(lane.waiting.front());
      lane.waiting.pop_front();
    } else if (lane.in_turn) {
      return;  // until the last store of the turn
    } else {
      lane.loading = true;
      not_before = lane.rest_until;
    }
  }
  if (next) {
    next(std::make_unique<Place>(shared_from_this(), recipient_key, generation, seq));
  } else {
    store_.begin_turn(recipient_key, not_before,
                      [self = shared_from_this(), recipient_key](Result<std::uint64_t> last) {
                        self->loaded(recipient_key, std::move(last));
                      });
  }
}

void Lanes::end_turn_if_due(const std::string& recipient_key, Lane& lane) {
  if (!lane.in_turn) return;
  const Nanoseconds now = monotonic_now();
  const bool over = now >= lane.turn_until;
  if (over) lane.next.reset();
  if (lane.storing > 0 || (lane.next && !lane.waiting.empty())) return;
  lane.in_turn = false;
  lane.next.reset();
  lane.rest_until = over ? now + kRest : 0;
  // Within the lock, so that the next turn begins behind it.
  store_.end_turn(recipient_key);
}

void Lanes::loaded(const std::string& recipient_key, Result<std::uint64_t> last) {
  std::deque<Reply<std::unique_ptr<Reservation>>> failed;
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = lanes_[recipient_key];
    lane.loading = false;
    if (last) {
      lane.next = *last + 1;
      lane.in_turn = store_.end_turn != nullptr;
      lane.turn_until = monotonic_now() + kTurn;
    } else {
      failed.swap(lane.waiting);
    }
  }
  for (auto& reply : failed) reply(std::unexpected(last.error()));
  go_on(recipient_key);
}

void Lanes::leave(const std::string& recipient_key, std::uint64_t generation, std::uint64_t next) {
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = lanes_[recipient_key];
    lane.held = false;
    lane.next = lane.generation == generation ? std::optional(next) : std::nullopt;
  }
  go_on(recipient_key);
}

void Lanes::begin_store(const std::string& recipient_key) {
  const std::lock_guard lock(mutex_);
  ++lanes_[recipient_key].storing;
}

void Lanes::stored(const std::string& recipient_key, std::uint64_t generation, bool as_expected) {
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = lanes_[recipient_key];
    --lane.storing;
    // The numbers given since are wrong, the one that is held too. They fail by themselves, and the
    // next one is read from the storage.
    if (!as_expected && lane.generation == generation) {
      ++lane.generation;
      lane.next.reset();
    }
  }
  go_on(recipient_key);
}

void Lanes::forget_idle() {
  std::erase_if(lanes_, [](const auto& entry) { return entry.second.idle(); });
}

}  // namespace heddle::messaging
