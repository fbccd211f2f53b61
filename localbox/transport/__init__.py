"""How the client's exchanges reach the zygote and the agents; the only code written twice."""
