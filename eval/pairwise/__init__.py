"""Two models over question sets, each pair of answers judged in both orders, as in Cherry's and TACOS's papers."""
