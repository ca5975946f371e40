// Moves the two messages of an exchange through its filters: the request from first to last, the
// response from last to first. Each filter is a stage of a pipeline with a buffer of its own, so
// that any of them may stop headers, body or trailers and go on later, whatever the others do.
//
// Belongs to one Exchange (its Owner) and one worker. A filter's wishes (local reply, reset,
// continue) are carried out after its callback has returned.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "extension/http_filter.h"
#include "http/buffer.h"
#include "http/message.h"

namespace heddle::gateway {

enum class Side : std::uint8_t { kRequest = 0, kResponse = 1 };

// One plugin on a route, ready to make filters.
struct ChainEntry {
  std::shared_ptr<extension::HttpFilterFactory> factory;
  extension::FilterInterest interest;
  std::size_t buffer_limit = 0;
  // Set once the plugin was seen to change the length of a body in passing: from then on heads do
  // not promise one.
  std::shared_ptr<std::atomic<bool>> resizes = std::make_shared<std::atomic<bool>>(false);
};

class FilterChain {
 public:
  // What the chain needs of its exchange.
  class Owner {
   public:
    virtual net::Worker& worker() = 0;
    virtual const extension::ExchangeInfo& info() const = 0;
    // What left the last filter of a side.
    virtual void chain_headers(Side side, bool end) = 0;
    virtual void chain_data(Side side, http::Buffer& data, bool end) = 0;
    virtual void chain_trailers(Side side) = 0;
    // Back-pressure on what feeds a side; calls nest.
    virtual void chain_pause(Side side) = 0;
    virtual void chain_resume(Side side) = 0;
    // A filter holds more than its limit.
    virtual void chain_overflow(Side side, const std::string& plugin) = 0;
    virtual void chain_local_reply(extension::LocalReply reply, const std::string& plugin) = 0;
    virtual void chain_reset(const std::string& plugin) = 0;
    virtual void chain_clear_route() = 0;
    // So many changes of the request headers do not count for the choice of the route.
    virtual void chain_keep_route(std::uint32_t changes) = 0;
    // Keeps the exchange alive across deferred work.
    virtual void retain() = 0;
    virtual void release() = 0;

   protected:
    ~Owner() = default;
  };

  explicit FilterChain(Owner& owner) : owner_(owner) {}
  FilterChain(const FilterChain&) = delete;
  FilterChain& operator=(const FilterChain&) = delete;
  ~FilterChain() = default;

  // Makes the filters of an exchange. The chain is empty before.
  void begin(const std::vector<ChainEntry>& entries);

  // The messages; they stay until clear().
  void set_head(Side side, http::HeadPtr head) { side_of(side).head = std::move(head); }
  http::Head* head(Side side) { return side_of(side).head.get(); }
  http::Head* trailers(Side side) { return side_of(side).trailers.get(); }

  // A message enters its first filter.
  void headers(Side side, bool end);
  void data(Side side, http::Buffer& data, bool end);
  void trailers(Side side, http::HeadPtr trailers);

  // Request and response so far are given up for another response, which only those filters see
  // that saw the request but no response yet.
  void restart_response();
  // The entries that begin() was given may go after this: the chain has its own.
  void keep_entries();
  // Nothing is delivered any more; the filters stay for log().
  void stop();
  // on_log of every filter that wants it, in request order, then the filters go and the chain is as
  // new.
  void log();
  void clear();

  bool has_data_filter(Side side) const { return side_of(side).data_filters; }
  // Whether a filter on this side was seen to change lengths; and to note that one of them did.
  bool known_resizer(Side side) const;
  void note_resizer(Side side);
  bool empty() const { return count_ == 0; }
  // The plugin whose filter holds a side up, if any.
  const std::string* paused_by() const;

  extension::Properties& properties() { return properties_; }

 private:
  enum class Pause : std::uint8_t {
    kNone,
    kHeaders,       // headers wait, body callbacks run
    kAll,           // everything waits unseen, up to the limit
    kAllWatermark,  // everything waits unseen, with back-pressure
    kBody,          // what is held was seen
    kBodyWatermark,
    kTrailers,
  };

  struct Stage {
    http::Buffer held;
    Pause pause = Pause::kNone;
    bool bypass = false;         // events pass without a call
    bool headers_in = false;     // reached this filter
    bool headers_out = false;    // left it
    bool headers_ended = false;  // reached it as the end of the message
    bool end_in = false;         // the body's end reached it
    bool trailers_in = false;
    bool back_pressure = false;
    bool in_data = false;       // its body callback runs
    bool in_last_data = false;  // with end = true
    void reset();
  };

  // One filter of one exchange, and its view of it.
  class Slot final : public extension::FilterHost {
   public:
    Slot(FilterChain& chain, int position) : chain_(chain), position_(position) {}

    net::Worker& worker() override;
    const extension::ExchangeInfo& info() const override;
    http::HeaderMap* request_headers() override;
    http::HeaderMap* request_trailers() override;
    http::HeaderMap* response_headers() override;
    http::HeaderMap* response_trailers() override;
    bool request_headers_writable() const override;
    bool request_trailers_writable() const override;
    bool response_headers_writable() const override;
    bool response_trailers_writable() const override;
    http::HeaderMap* create_request_trailers() override;
    http::HeaderMap* create_response_trailers() override;
    http::Buffer* request_body() override;
    http::Buffer* response_body() override;
    void continue_request() override;
    void continue_response() override;
    void send_local_reply(extension::LocalReply reply) override;
    void reset_stream() override;
    void clear_route() override;
    extension::Properties& properties() override;

   private:
    friend class FilterChain;
    http::HeaderMap* create_trailers(Side side);
    http::Buffer* body(Side side);
    bool headers_writable(Side side) const;
    bool trailers_writable(Side side) const;

    FilterChain& chain_;
    int position_;
    std::unique_ptr<extension::HttpFilter> filter_;
    const ChainEntry* entry_ = nullptr;
    std::array<Stage, 2> stages_;
  };

  struct SideState {
    http::HeadPtr head;
    http::HeadPtr trailers;
    bool trailers_created = false;  // by a filter, not yet on their way
    bool data_filters = false;
    std::uint32_t epoch = 0;  // grows when what runs on this side must stop
  };

  SideState& side_of(Side side) { return sides_[static_cast<std::size_t>(side)]; }
  const SideState& side_of(Side side) const { return sides_[static_cast<std::size_t>(side)]; }
  Stage& stage(Side side, int position) {
    return slots_[static_cast<std::size_t>(position)].stages_[static_cast<std::size_t>(side)];
  }
  Slot& slot(int position) { return slots_[static_cast<std::size_t>(position)]; }
  int first(Side side) const { return side == Side::kRequest ? 0 : count_ - 1; }
  static int step(Side side) { return side == Side::kRequest ? 1 : -1; }
  bool valid(int position) const { return position >= 0 && position < count_; }

  void headers_from(Side side, int position, bool end);
  void data_from(Side side, int position, http::Buffer& data, bool end);
  void trailers_from(Side side, int position);
  void resume(Side side, int position);
  bool apply_headers_action(Side side, int position, extension::HeadersAction action, bool end);
  void hold(Side side, int position);
  void release_back_pressure(Side side, Stage& stage);
  extension::HeadersAction call_headers(Side side, Slot& slot, bool end);
  extension::DataAction call_data(Side side, Slot& slot, bool end);
  extension::TrailersAction call_trailers(Side side, Slot& slot);
  static bool wants_headers(Side side, const Slot& slot);
  static bool wants_data(Side side, const Slot& slot);
  static bool wants_trailers(Side side, const Slot& slot);

  // After a callback: carries out what the filter asked for. True when this side's run must stop.
  bool interrupted(Side side, std::uint32_t epoch);
  void apply_wishes();
  void defer_wishes();
  void defer_resume(Side side, int position);

  Owner& owner_;
  std::deque<Slot>
      slots_;  // the first count_ are in use; the others are kept for the next exchange
  int count_ = 0;
  std::vector<ChainEntry> kept_entries_;
  std::array<SideState, 2> sides_;
  http::Buffer spare_;  // empty: the memory of its list is for the next piece of a body
  int running_ = 0;     // callbacks on the stack
  bool stopped_ = false;
  std::optional<std::pair<extension::LocalReply, int>> wanted_reply_;
  std::optional<int> wanted_reset_;  // position of the filter
  std::uint32_t generation_ = 0;  // of the exchange: deferred work of an earlier one does nothing
  extension::Properties properties_;
};

}  // namespace heddle::gateway
