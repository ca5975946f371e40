// The filters of one TCP connection, in both directions: downstream data passes them by priority,
// upstream data in reverse; each may hold bytes back.
//
// Belongs to the connection and its worker. Filters are never called from within one another: what
// they ask for through their host is deferred to the end of the event.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "extension/network_filter.h"
#include "net/worker.h"

namespace heddle::gateway {

enum class Flow : std::uint8_t { kDownstream, kUpstream };  // from the client, from the upstream

class NetworkChain {
 public:
  class Owner {
   public:
    virtual net::Worker& worker() = 0;
    virtual const extension::ExchangeInfo& info() const = 0;
    // Every filter let the new connection pass. Once.
    virtual void on_filters_opened() = 0;
    // Bytes that passed every filter; with `end`, the last of this direction.
    virtual void on_filtered(Flow flow, http::Buffer&& data, bool end) = 0;
    // A filter let go of bytes: reading may go on.
    virtual void on_filters_room(Flow flow) = 0;
    virtual void on_filter_close(const std::string& plugin) = 0;
    // The filter holds as much as its buffer_limit allows.
    virtual void on_filter_full(const std::string& plugin, std::size_t bytes) = 0;

   protected:
    ~Owner() = default;
  };
  using Factories = std::span<const std::shared_ptr<extension::NetworkFilterFactory>>;

  explicit NetworkChain(Owner& owner) : owner_(owner) {}
  ~NetworkChain();
  NetworkChain(const NetworkChain&) = delete;
  NetworkChain& operator=(const NetworkChain&) = delete;

  // Shows the new connection to the filters. The factories outlive the chain.
  void open(Factories factories);
  void feed(Flow flow, http::Buffer&& data, bool end);
  // Whether a filter holds so much that nothing more should be read.
  bool full(Flow flow) const { return full_.at(index(flow)) > 0; }

  // Tells the filters who ended which connection and lets them go; nothing passes any more.
  // `connected`: the upstream was reached. Harmless when repeated; not within a filter's callback.
  void end(extension::Peer downstream, extension::Peer upstream, bool connected);
  bool ended() const { return ended_; }

 private:
  // What one filter holds in one direction.
  struct Stage {
    http::Buffer held;
    bool end = false;      // the end of the direction is among what is held
    bool stopped = false;  // until a callback continues or continue_*() comes
    bool running = false;  // its data callback is
    bool full = false;
  };

  class Slot final : public extension::NetworkFilterHost {
   public:
    Slot(NetworkChain& chain, std::size_t position, const extension::NetworkFilterFactory& factory)
        : factory(factory), chain_(chain), position_(position) {}

    net::Worker& worker() override { return chain_.owner_.worker(); }
    const extension::ExchangeInfo& info() const override { return chain_.owner_.info(); }
    http::Buffer* downstream_data() override { return data(Flow::kDownstream); }
    http::Buffer* upstream_data() override { return data(Flow::kUpstream); }
    void continue_downstream() override { chain_.defer_resume(Flow::kDownstream, position_); }
    void continue_upstream() override { chain_.defer_resume(Flow::kUpstream, position_); }
    void close() override { chain_.defer_close(position_); }
    extension::Properties& properties() override { return chain_.properties_; }

    const extension::NetworkFilterFactory& factory;
    std::unique_ptr<extension::NetworkFilter> filter;  // null: passed by
    std::array<Stage, 2> stages;
    bool opened = false;
    bool upstream_closed = false;  // the filter was told

   private:
    http::Buffer* data(Flow flow);

    NetworkChain& chain_;
    std::size_t position_;
  };

  static std::size_t index(Flow flow) { return static_cast<std::size_t>(flow); }
  // The slot at a step of the way; null behind the last.
  Slot* at(Flow flow, std::size_t step);
  void run(Flow flow, std::size_t step, http::Buffer&& data, bool end);
  bool open_slot(Slot& slot);
  bool show(Flow flow, Slot& slot);
  void note_room(Flow flow, Slot& slot);
  void resume(Flow flow, std::size_t position);
  void defer_resume(Flow flow, std::size_t position);
  void defer_close(std::size_t position);

  Owner& owner_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::array<unsigned, 2> full_{};  // filters that are, per direction
  extension::Properties properties_;
  bool opened_ = false;
  bool closing_ = false;
  bool ended_ = false;
};

}  // namespace heddle::gateway
