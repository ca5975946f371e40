#include "http/stream.h"

namespace heddle::http {

std::string_view to_string(StreamError error) {
  switch (error) {
    case StreamError::kClosed:
      return "closed";
    case StreamError::kRefused:
      return "refused";
    case StreamError::kConnectTimeout:
      return "connect timeout";
    case StreamError::kTimeout:
      return "timeout";
    case StreamError::kProtocol:
      return "protocol error";
    case StreamError::kTooLarge:
      return "too large";
    case StreamError::kCancelled:
      return "cancelled";
    case StreamError::kOverflow:
      return "overflow";
    case StreamError::kUnavailable:
      return "unavailable";
  }
  return "";
}

}  // namespace heddle::http
