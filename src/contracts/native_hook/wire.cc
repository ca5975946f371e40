#include "contracts/native_hook/wire.h"

#include <cstring>
#include <type_traits>
#include <utility>

namespace heddle::native_hook {
namespace {

using extension::AuthEvent;
using extension::BatchEvent;
using extension::ChannelEvent;
using extension::FetchEvent;
using extension::MessageEvent;
using extension::SentEvent;
using extension::UserEvent;

class Writer {
 public:
  template <typename T>
  void number(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out_ += value;
  }
  void message(const MessageEvent& event) {
    text(event.sender_identity);
    text(event.recipient_key);
    text(event.channel_id);
    number(static_cast<std::uint64_t>(event.payload_size));
    number(event.seq);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads what a Writer wrote; past the end it gives zeros and remembers that.
class Reader {
 public:
  explicit Reader(std::string_view record) : rest_(record) {}

  template <typename T>
  T number() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::string_view text() { return take(number<std::uint32_t>()); }
  MessageEvent message() {
    MessageEvent event;
    event.sender_identity = text();
    event.recipient_key = text();
    event.channel_id = text();
    event.payload_size = number<std::uint64_t>();
    event.seq = number<std::uint64_t>();
    return event;
  }
  bool good() const { return good_; }
  bool complete() const { return good_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
  bool good_ = true;
};

struct EventWriter {
  Writer& out;

  void operator()(const SentEvent& /*event*/) const {}  // not part of this contract
  void operator()(const BatchEvent& event) const {
    out.number(static_cast<std::uint32_t>(event.messages.size()));
    for (const MessageEvent& each : event.messages) out.message(each);
  }
  void operator()(const AuthEvent& event) const {
    out.text(event.username);
    out.number(static_cast<std::uint8_t>(event.success));
    out.text(event.failure_reason);
  }
  void operator()(const ChannelEvent& event) const {
    out.text(event.channel_id);
    out.text(event.initiator_key);
    out.text(event.peer_key);
    out.number(static_cast<std::uint8_t>(event.was_new));
  }
  void operator()(const FetchEvent& event) const {
    out.text(event.recipient_key);
    out.text(event.channel_id);
    out.number(static_cast<std::uint64_t>(event.message_count));
  }
  void operator()(const UserEvent& event) const {
    out.text(event.username);
    out.text(event.identity_key);
  }
};

Writer begin(std::uint64_t id, Slot slot) {
  Writer out;
  out.number(id);
  out.number(slot);
  return out;
}

void read_batch(Reader& in, ChildCall& call) {
  const auto count = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && in.good(); ++i) call.messages.push_back(in.message());
  call.event = BatchEvent{call.messages};
}

// Arguments are evaluated from left to right, as a braced list prescribes.
void read_event(Reader& in, ChildCall& call) {
  switch (call.slot) {
    case Slot::kMessageEnqueue:
      call.message = in.message();
      return;
    case Slot::kBatchEnqueue:
      return read_batch(in, call);
    case Slot::kAuth:
      call.event = AuthEvent{in.text(), in.number<std::uint8_t>() != 0, in.text()};
      return;
    case Slot::kChannelCreated:
      call.event = ChannelEvent{in.text(), in.text(), in.text(), in.number<std::uint8_t>() != 0};
      return;
    case Slot::kFetch:
      call.event = FetchEvent{in.text(), in.text(), in.number<std::uint64_t>()};
      return;
    case Slot::kUserRegistered:
      call.event = UserEvent{in.text(), in.text()};
      return;
    default:
      return;
  }
}

std::unexpected<Error> broken() {
  return fail(ErrorKind::kInternal, "a record in the shared memory is damaged");
}

}  // namespace

std::string write_call(std::uint64_t id, const MessageEvent& event) {
  Writer out = begin(id, Slot::kMessageEnqueue);
  out.message(event);
  return out.take();
}

std::string write_call(std::uint64_t id, const extension::HookEvent& event) {
  Writer out = begin(id, slot_at(extension::moment_of(event)));
  std::visit(EventWriter{out}, event);
  return out.take();
}

std::string write_call(std::uint64_t id, Slot slot) {
  return begin(id, slot).take();
}

Result<void> read_call(std::string_view record, ChildCall& call) {
  Reader in(record);
  call.messages.clear();
  call.id = in.number<std::uint64_t>();
  call.slot = in.number<Slot>();
  if (static_cast<std::size_t>(call.slot) >= kSlots) return broken();
  read_event(in, call);
  if (!in.complete()) return broken();
  return {};
}

std::string write_answer(const ChildAnswer& answer) {
  Writer out;
  out.number(answer.id);
  out.number(answer.outcome);
  out.number(answer.nanoseconds);
  out.text(answer.text);
  return out.take();
}

Result<ChildAnswer> read_answer(std::string_view record) {
  Reader in(record);
  ChildAnswer out;
  out.id = in.number<std::uint64_t>();
  out.outcome = in.number<ChildOutcome>();
  out.nanoseconds = in.number<std::int64_t>();
  out.text = in.text();
  if (!in.complete() || out.outcome > ChildOutcome::kThrew) return broken();
  return out;
}

}  // namespace heddle::native_hook
