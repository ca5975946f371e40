// A filter's view of its exchange (FilterHost).
#include "gateway/filter_chain.h"

namespace heddle::gateway {

namespace {
http::HeaderMap* map_of(http::Head* head) {
  return head != nullptr ? &head->headers : nullptr;
}
}  // namespace

net::Worker& FilterChain::Slot::worker() {
  return chain_.owner_.worker();
}
const extension::ExchangeInfo& FilterChain::Slot::info() const {
  return chain_.owner_.info();
}

http::HeaderMap* FilterChain::Slot::request_headers() {
  return map_of(chain_.head(Side::kRequest));
}
http::HeaderMap* FilterChain::Slot::request_trailers() {
  return map_of(chain_.trailers(Side::kRequest));
}
http::HeaderMap* FilterChain::Slot::response_headers() {
  return map_of(chain_.head(Side::kResponse));
}
http::HeaderMap* FilterChain::Slot::response_trailers() {
  return map_of(chain_.trailers(Side::kResponse));
}

bool FilterChain::Slot::headers_writable(Side side) const {
  const Stage& stage = stages_[static_cast<std::size_t>(side)];
  return stage.headers_in && !stage.headers_out && !stage.bypass && !chain_.stopped_;
}

bool FilterChain::Slot::trailers_writable(Side side) const {
  const Stage& stage = stages_[static_cast<std::size_t>(side)];
  if (chain_.stopped_ || stage.bypass || chain_.side_of(side).trailers == nullptr) return false;
  return (stage.trailers_in || stage.in_last_data) || chain_.side_of(side).trailers_created;
}

bool FilterChain::Slot::request_headers_writable() const {
  return headers_writable(Side::kRequest);
}
bool FilterChain::Slot::request_trailers_writable() const {
  return trailers_writable(Side::kRequest);
}
bool FilterChain::Slot::response_headers_writable() const {
  return headers_writable(Side::kResponse);
}
bool FilterChain::Slot::response_trailers_writable() const {
  return trailers_writable(Side::kResponse);
}

http::HeaderMap* FilterChain::Slot::create_trailers(Side side) {
  SideState& state = chain_.side_of(side);
  if (!stages_[static_cast<std::size_t>(side)].in_last_data) return nullptr;
  if (state.trailers == nullptr) {
    state.trailers = http::make_head();
    state.trailers_created = true;
  }
  return &state.trailers->headers;
}

http::HeaderMap* FilterChain::Slot::create_request_trailers() {
  return create_trailers(Side::kRequest);
}
http::HeaderMap* FilterChain::Slot::create_response_trailers() {
  return create_trailers(Side::kResponse);
}

http::Buffer* FilterChain::Slot::body(Side side) {
  Stage& stage = stages_[static_cast<std::size_t>(side)];
  if (chain_.stopped_) return nullptr;
  return stage.in_data || !stage.held.empty() ? &stage.held : nullptr;
}

http::Buffer* FilterChain::Slot::request_body() {
  return body(Side::kRequest);
}
http::Buffer* FilterChain::Slot::response_body() {
  return body(Side::kResponse);
}

void FilterChain::Slot::continue_request() {
  chain_.defer_resume(Side::kRequest, position_);
}
void FilterChain::Slot::continue_response() {
  chain_.defer_resume(Side::kResponse, position_);
}

void FilterChain::Slot::send_local_reply(extension::LocalReply reply) {
  if (chain_.stopped_ || chain_.wanted_reply_) return;
  chain_.wanted_reply_.emplace(std::move(reply), position_);
  chain_.defer_wishes();
}

void FilterChain::Slot::reset_stream() {
  if (chain_.stopped_ || chain_.wanted_reset_) return;
  chain_.wanted_reset_ = position_;
  chain_.defer_wishes();
}

void FilterChain::Slot::clear_route() {
  chain_.owner_.chain_clear_route();
}

extension::Properties& FilterChain::Slot::properties() {
  return chain_.properties();
}

}  // namespace heddle::gateway
