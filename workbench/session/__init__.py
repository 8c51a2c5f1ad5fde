"""What a session looks at; the only room that touches ``st.session_state``."""
